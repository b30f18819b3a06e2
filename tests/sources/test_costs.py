from exporter.sources.costs import FRESH, Costs


def test_a_cost_is_known_for_as_long_as_somebody_renews_it() -> None:
    now = [100.0]
    costs = Costs(lambda: now[0])
    assert costs.trade_cost_wei is None
    costs.trade_cost_wei = 5
    now[0] += FRESH
    assert costs.trade_cost_wei == 5
    now[0] += 0.1
    assert costs.trade_cost_wei is None
    costs.trade_cost_wei = 7
    assert costs.trade_cost_wei == 7
    costs.trade_cost_wei = None
    assert costs.trade_cost_wei is None


def test_one_that_was_never_told_is_unknown_whatever_the_clock_says() -> None:
    assert Costs(lambda: 0.0).trade_cost_wei is None
    assert Costs().trade_cost_wei is None
