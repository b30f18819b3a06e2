"""Deploy tokens, two Uniswap V2 exchanges with liquidity and two arbitrage contracts on an empty chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.types import RPCEndpoint, TxParams, TxReceipt, Wei

from demo import artifacts
from demo.chain import CBETH, DAI, ETHER, USDC, WETH, Pool, Token

FOREVER = 2**63  # deadline of swaps, epoch seconds
ENDLESS = 2**256 - 1  # allowance
ETHER_PRICE = 3000.0  # USD, at the start
STAKED_ETHER_PRICE = 1.08  # cbETH in ETH, at the start
TRADERS = 2
TIP_WEI = 1_000_000  # the node's own suggestion is a whole gwei, more than its gas price
BOT_BALANCE = 2 * ETHER
TRADER_TOKENS = 100_000  # worth of each token, in ether


@dataclass(frozen=True, slots=True)
class Market:
    """One pair of tokens as both exchanges start with it."""

    base: Token
    quote: Token
    price: float  # quote per base
    depth: int  # ether in each pool

    @property
    def other(self) -> Token:
        return self.quote if self.base == WETH else self.base

    def worth(self, ether: float) -> int:
        """How much of the token that is not WETH is worth so much ether, in its smallest unit."""
        rate = self.price if self.base == WETH else 1 / self.price
        return round(ether * rate * 10.0**self.other.decimals)


MARKETS = (
    Market(WETH, USDC, ETHER_PRICE, depth=400),
    Market(WETH, DAI, ETHER_PRICE, depth=250),
    Market(CBETH, WETH, STAKED_ETHER_PRICE, depth=300),
)
DEXES = ("uniswap", "sushiswap")


@dataclass(frozen=True, slots=True)
class Deployed:
    pools: list[Pool]
    factories: dict[str, str]
    routers: dict[str, str]
    wallets: dict[str, str]
    contracts: dict[str, str]


class DeployError(Exception):
    """A transaction of the deployment was reverted."""


class Deployer:
    """Sends transactions and mines each at once, so that a whole deployment takes two seconds."""

    def __init__(self, url: str) -> None:
        self.w3 = Web3(HTTPProvider(url, cache_allowed_requests=True))
        self.wallet = self.w3.eth.accounts[0]

    def request(self, method: str, *params: object) -> Any:
        """A request web3 has no function for."""
        answer = self.w3.provider.make_request(RPCEndpoint(method), list(params))
        if "error" in answer:
            raise DeployError(f"{method}: {answer['error']}")
        return answer["result"]

    def send(
        self, call: ContractFunction | ContractConstructor, sender: ChecksumAddress | None = None, value: int = 0
    ) -> TxReceipt:
        """Send one transaction and mine it; raises DeployError if it was reverted."""
        fees: TxParams = {"maxFeePerGas": Wei(ETHER // 10**9), "maxPriorityFeePerGas": Wei(TIP_WEI)}
        return self._mined(call.transact({"from": sender or self.wallet, "value": Wei(value), **fees}))

    def create(self, name: str, *arguments: object, sender: ChecksumAddress | None = None) -> Contract:
        """Deploy a contract."""
        artifact = artifacts.load(name)
        factory = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = self.send(factory.constructor(*arguments), sender)
        return self.at(name, receipt["contractAddress"])

    def at(self, name: str, address: str | ChecksumAddress | None) -> Contract:
        """A contract that is already there."""
        return self.w3.eth.contract(Web3.to_checksum_address(str(address)), abi=artifacts.load(name).abi)

    def plant(self, name: str, source: Contract, address: str) -> Contract:
        """Put a deployed contract's code at an address it could not be deployed to."""
        self.request("anvil_setCode", address, self.w3.eth.get_code(source.address).to_0x_hex())
        return self.at(name, address)

    def _mined(self, sent: HexBytes) -> TxReceipt:
        self.request("evm_mine")
        receipt = self.w3.eth.wait_for_transaction_receipt(sent, timeout=10, poll_latency=0.01)
        if receipt["status"] != 1:
            raise DeployError(f"transaction {sent.to_0x_hex()} was reverted")
        return receipt


def deploy(url: str) -> Deployed:
    """Build the whole world; blocks for about two seconds."""
    chain = Deployer(url)
    wallets = _wallets(chain)
    tokens = _tokens(chain)
    _fund(chain, tokens, [wallets[name] for name in wallets if name not in ("bot", "rival")])
    exchanges = {dex: _exchange(chain) for dex in DEXES}
    traders = [chain.wallet, *(wallets[name] for name in wallets if name.startswith("trader"))]
    for _, router in exchanges.values():
        _approve(chain, tokens, router, traders)
    pools = [
        _pool(chain, dex, market, *exchanges[dex], tilt=1 + 0.001 * index)
        for market in MARKETS
        for index, dex in enumerate(DEXES)
    ]
    contracts = {
        name: chain.create("Arbitrageur", WETH.address, sender=wallets[owner]).address
        for name, owner in (("arbitrageur", "bot"), ("rival", "rival"))
    }
    chain.request("anvil_setBalance", wallets["bot"], hex(BOT_BALANCE))
    return Deployed(
        pools,
        {dex: factory.address for dex, (factory, _) in exchanges.items()},
        {dex: router.address for dex, (_, router) in exchanges.items()},
        {name: str(address) for name, address in wallets.items()},
        {name: str(address) for name, address in contracts.items()},
    )


def _wallets(chain: Deployer) -> dict[str, ChecksumAddress]:
    names = ("deployer", "bot", "rival", *(f"trader-{number}" for number in range(1, TRADERS + 1)))
    return dict(zip(names, chain.w3.eth.accounts, strict=False))


def _tokens(chain: Deployer) -> dict[str, Contract]:
    plain = chain.create("DemoToken")
    tokens = {WETH.symbol: _wrapped_ether(chain)}
    for token in (USDC, DAI, CBETH):
        contract = chain.plant("DemoToken", plain, token.address)
        chain.send(contract.functions.initialize(token.name, token.symbol, token.decimals))
        tokens[token.symbol] = contract
    return tokens


def _wrapped_ether(chain: Deployer) -> Contract:
    """WETH9 at Base's address; its constructor wrote name, symbol and decimals elsewhere, so do it here."""
    weth = chain.plant("WETH9", chain.create("WETH9"), WETH.address)
    for slot, word in enumerate((_short_string(WETH.name), _short_string(WETH.symbol), WETH.decimals)):
        chain.request("anvil_setStorageAt", WETH.address, hex(slot), f"0x{word:064x}")
    return weth


def _short_string(text: str) -> int:
    """How Solidity stores a string of up to 31 bytes: left-aligned, twice its length in the last byte."""
    return int.from_bytes(text.encode().ljust(31, b"\0") + bytes([2 * len(text)]))


def _fund(chain: Deployer, tokens: dict[str, Contract], wallets: Sequence[ChecksumAddress]) -> None:
    for wallet in wallets:
        chain.send(tokens[WETH.symbol].functions.deposit(), wallet, TRADER_TOKENS * ETHER)
        for market in MARKETS:
            token = tokens[market.other.symbol]
            chain.send(token.functions.mint(wallet, market.worth(TRADER_TOKENS)))


def _exchange(chain: Deployer) -> tuple[Contract, Contract]:
    factory = chain.create("UniswapV2Factory", chain.wallet)
    return factory, chain.create("UniswapV2Router02", factory.address, WETH.address)


def _approve(
    chain: Deployer, tokens: dict[str, Contract], router: Contract, wallets: Sequence[ChecksumAddress]
) -> None:
    for wallet in wallets:
        for token in tokens.values():
            chain.send(token.functions.approve(router.address, ENDLESS), wallet)


def _pool(chain: Deployer, dex: str, market: Market, factory: Contract, router: Contract, tilt: float) -> Pool:
    """Create the pair and give it its liquidity, its price off by the tilt."""
    amounts = (market.depth * ETHER, market.worth(market.depth * tilt))
    chain.send(router.functions.addLiquidity(WETH.address, market.other.address, *amounts, 0, 0, chain.wallet, FOREVER))
    address = factory.functions.getPair(WETH.address, market.other.address).call()
    return Pool(dex, market.base.symbol, market.quote.symbol, address)
