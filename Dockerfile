# The image of arb-exporter and of its gateways:  docker build -t arb-exporter .
# With a chain and a bot to look at:              docker build -t arb-exporter-demo --target demo .

FROM node:22-trixie-slim AS assets
WORKDIR /assets
COPY tools/assets/package.json tools/assets/package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && mkdir vendor \
 && cp node_modules/uplot/dist/uPlot.esm.js node_modules/uplot/dist/uPlot.min.css vendor/ \
 && cp node_modules/uplot/LICENSE vendor/uPlot.LICENSE

FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY requirements.lock packaging/requirements-build.lock ./
RUN python -m venv /opt/arb-exporter \
 && /opt/arb-exporter/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary=:all: -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY --from=assets /assets/vendor exporter/web/pages/vendor
RUN PYTHONPATH="$(/opt/build/bin/python -c 'import setuptools, pathlib; print(pathlib.Path(setuptools.__file__).parents[1])')" \
    /opt/arb-exporter/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/arb-exporter/bin/python -m compileall -q /opt/arb-exporter/lib

# `make demo` in a box: a real chain, exchanges, traders and a bot, the exporter over them, and Prometheus.
FROM python:3.13-slim-trixie AS demo
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends npm prometheus \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home demo
WORKDIR /demo
COPY demo/package.json demo/package-lock.json demo/
RUN npm ci --prefix demo --ignore-scripts --no-audit --no-fund
COPY --from=build /opt/arb-exporter /opt/arb-exporter
COPY demo demo
USER 10001:10001
ENV PATH=/opt/arb-exporter/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:10453/healthz', timeout=4)"]
CMD ["python", "-m", "demo"]

FROM python:3.13-slim-trixie AS exporter
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin arb-exporter \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/arb-exporter
COPY --from=build /opt/arb-exporter /opt/arb-exporter
USER 10001:10001
ENV PATH=/opt/arb-exporter/bin:/usr/local/bin:/usr/bin:/bin STATE_DIRECTORY=/var/lib/arb-exporter \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 10453
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:10453/healthz', timeout=4)"]
ENTRYPOINT ["arb-exporter"]
CMD ["--web.listen-address=127.0.0.1:10453"]
