"""The text formats, compared with client_python byte for byte, and their compression."""

import gzip
import math
import subprocess
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.exposition import Format, deflate, encode, join, negotiate
from exporter.metrics import Distribution, Family, counter, gate, gauge, histogram

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.sampled_from(
    ["", '"', "\\", "\n", '\\n"', "a,b}", " ", "# EOF", "é\u2028"]
)
anything = texts | st.text(max_size=80)  # with lone surrogates, for the gate
numbers = st.floats() | st.integers(-(2**70), 2**70).map(float) | st.sampled_from([0.0, -0.0, 1e6, 1e21, 0.1, 5e-324])
label_names = st.lists(st.sampled_from(["a", "le_", "z", "pair", "dex_buy"]), unique=True, max_size=3)
bounds = st.lists(st.floats(min_value=5e-324, allow_infinity=False), unique=True, max_size=5).map(sorted).map(tuple)


@st.composite
def families(draw: st.DrawFn, labels: st.SearchStrategy[str] = texts) -> list[Family]:
    made = []
    for i in range(draw(st.integers(0, 4))):
        names, text = draw(label_names), draw(texts)
        row = st.tuples(*(labels for _ in names))
        kind = draw(st.sampled_from(["gauge", "counter", "histogram"]))
        if kind == "histogram":
            metric = histogram(f"arb_m{i}", text, *names, buckets=draw(bounds))
            made.append(metric.distributions([(r, draw(distributions(metric.buckets))) for r in draw(st.lists(row))]))
        else:
            metric = gauge(f"arb_m{i}", text, *names) if kind == "gauge" else counter(f"arb_m{i}_total", text, *names)
            made.append(metric.each(draw(st.lists(st.tuples(row, numbers)))))
    return made


@st.composite
def distributions(draw: st.DrawFn, buckets: tuple[float, ...]) -> Distribution:
    made = Distribution(buckets)
    for value in draw(st.lists(st.floats(), max_size=5)):
        made.observe(value)
    if draw(st.booleans()):
        made.total = draw(numbers)
    return made


class Registry:
    """The same families as client_python knows them."""

    def __init__(self, made: list[Family]) -> None:
        self.made = made

    def collect(self) -> Iterator[ClientMetric]:
        for family in self.made:
            metric = family.metric
            known = ClientMetric(metric.name.removesuffix("_total"), metric.help, metric.kind)
            for suffix, labels, value in family.samples:
                named = dict(zip(metric.label_names(suffix), labels, strict=True))
                known.add_sample(metric.name + suffix, named, value)
            yield known


@given(families())
def test_text_is_what_client_python_writes(made: list[Family]) -> None:
    assert encode(made, Format.TEXT) + Format.TEXT.end == generate_latest(Registry(made))


@given(families())
def test_openmetrics_is_what_client_python_writes(made: list[Family]) -> None:
    assert encode(made, Format.OPENMETRICS) + Format.OPENMETRICS.end == generate_openmetrics(Registry(made))


@given(families(anything))
def test_whatever_passed_the_gate_parses_strictly(made: list[Family]) -> None:
    gated = gate(made, tuple(f.metric for f in made)).families
    body = (encode(gated, Format.OPENMETRICS) + Format.OPENMETRICS.end).decode()
    parsed = [s for family in text_string_to_metric_families(body) for s in family.samples]
    expected = [
        (f.metric.name + suffix, dict(zip(f.metric.label_names(suffix), labels, strict=True)), value)
        for f in gated
        for suffix, labels, value in f.samples
    ]
    assert [(s.name, s.labels, s.value) for s in parsed] == expected
    assert all(math.isfinite(s.value) for s in parsed)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_joined_pieces_are_one_gzip_member(pieces: list[bytes]) -> None:
    body, packed = join((piece, deflate(piece)) for piece in pieces)
    assert body == b"".join(pieces)
    assert gzip.decompress(packed) == body
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(packed) == body
    assert reader.eof
    assert reader.unused_data == b""


@pytest.mark.parametrize(
    "pieces", [[b""], [b"a" * 100_000, b"", b"b\n"], [bytes(range(256)) * 2_000] * 3], ids=["empty", "mixed", "large"]
)
def test_the_gzip_program_reads_the_body(pieces: list[bytes]) -> None:
    body, packed = join((piece, deflate(piece)) for piece in pieces)
    subprocess.run(["gzip", "-t"], input=packed, check=True, timeout=30)
    assert subprocess.run(["gzip", "-dc"], input=packed, check=True, timeout=30, capture_output=True).stdout == body


OM, OPEN, TEXT = "application/openmetrics-text", Format.OPENMETRICS, Format.TEXT
ACCEPT = {
    "": TEXT,
    "*/*": TEXT,  # curl
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": TEXT,  # browsers
    # Prometheus 2.42
    f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": OPEN,
    # Prometheus 3.x, also with native histograms
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,{OM};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2": OPEN,
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2": OPEN,
    # a Prometheus told to scrape text 0.0.4 only
    "text/plain;version=0.0.4;q=0.6,*/*;q=0.5": TEXT,
    OM: OPEN,
    OM.upper(): OPEN,
    f"  {OM} ; version=1.0.0 ; q=0.5 , text/plain ; q=0.4": OPEN,
    f"{OM};q=0.4,text/plain;q=0.5": TEXT,
    f"{OM};q=0.5,text/plain;q=0.5": OPEN,
    f"{OM};q=0.5,text/*;q=0.6": TEXT,
    f"{OM};q=0": TEXT,
    f"{OM};version=2.0.0": TEXT,
    f"{OM};q=nonsense": TEXT,
    f"{OM};q=nan": TEXT,
    f"{OM};q=-1": TEXT,
    f"{OM};q=7": OPEN,
    "application/json": TEXT,
    ",;=,;q=": TEXT,
}


@pytest.mark.parametrize("accept", ACCEPT, ids=lambda accept: accept[:40])
def test_the_format_is_what_the_client_prefers(accept: str) -> None:
    assert negotiate(accept) is ACCEPT[accept]


@given(st.text(max_size=60))
def test_any_accept_header_gets_an_answer(accept: str) -> None:
    assert negotiate(accept) in Format
