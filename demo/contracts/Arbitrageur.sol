// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// The part of an ERC-20 token that is needed here.
interface IToken {
    function transfer(address to, uint256 amount) external returns (bool);
}

/// The part of a Uniswap V2 pair that is needed here.
interface IPair {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 updatedAt);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title Two-pool arbitrage in one transaction, without own capital
/// @notice WETH is dear at one pair and cheap at another one of the same two tokens. The contract
///         borrows the other token from the first pair (a flash swap), buys WETH with it at the second
///         pair, pays the first pair in WETH, fee included, and sends what is left to its owner.
///         If less than the demanded profit would be left, everything is undone: only gas is lost.
contract Arbitrageur {
    /// The two pairs' prices were too close: `received` WETH do not pay `owed` WETH plus the profit.
    error NoProfit(uint256 owed, uint256 received);
    /// Only the owner may start an arbitrage.
    error NotOwner(address caller);
    /// Only the pair that is lending at this moment may call back.
    error NotLender(address caller);

    /// One arbitrage was done. Amounts are in wei of WETH.
    event Arbitrage(
        address indexed sellAt, address indexed buyAt, uint256 owed, uint256 received, uint256 profit
    );

    /// Uniswap V2 keeps 3 of every 1000 units that come in.
    uint256 private constant FEE_BASE = 1000;
    uint256 private constant AFTER_FEE = 997;

    address public immutable owner;
    address public immutable weth;

    /// The pair that lends during this transaction; nobody outside of one.
    address private transient lender;

    constructor(address weth_) {
        owner = msg.sender;
        weth = weth_;
    }

    /// @param sellAt    pair where WETH is dear: it lends the other token and is paid in WETH
    /// @param buyAt     pair where WETH is cheap: the borrowed token is sold there
    /// @param borrowed  amount of the other token, in its smallest unit
    /// @param minProfit least profit, in wei of WETH, for which it is worth doing
    function arbitrage(IPair sellAt, IPair buyAt, uint256 borrowed, uint256 minProfit) external {
        require(msg.sender == owner, NotOwner(msg.sender));
        lender = address(sellAt);
        (uint256 out0, uint256 out1) = sellAt.token0() == weth ? (uint256(0), borrowed) : (borrowed, uint256(0));
        sellAt.swap(out0, out1, address(this), abi.encode(buyAt, minProfit));
        lender = address(0);
    }

    /// Called by the lending pair in the middle of its `swap`, after it has sent the borrowed token.
    function uniswapV2Call(address, uint256 amount0, uint256 amount1, bytes calldata data) external {
        require(msg.sender == lender, NotLender(msg.sender));
        (IPair buyAt, uint256 minProfit) = abi.decode(data, (IPair, uint256));
        uint256 borrowed = amount0 + amount1; // one of them is zero
        uint256 owed = _amountIn(IPair(msg.sender), borrowed);
        uint256 received = _amountOut(buyAt, borrowed);
        require(received >= owed + minProfit && received > owed, NoProfit(owed, received));
        _buyWeth(buyAt, borrowed, received);
        IToken(weth).transfer(msg.sender, owed);
        IToken(weth).transfer(owner, received - owed);
        emit Arbitrage(msg.sender, address(buyAt), owed, received, received - owed);
    }

    /// Sells `amount` of the other token at `pair` for exactly `wethOut`.
    function _buyWeth(IPair pair, uint256 amount, uint256 wethOut) private {
        bool wethFirst = pair.token0() == weth;
        IToken(wethFirst ? pair.token1() : pair.token0()).transfer(address(pair), amount);
        pair.swap(wethFirst ? wethOut : 0, wethFirst ? 0 : wethOut, address(this), "");
    }

    /// WETH that `pair` gives for `amount` of the other token.
    function _amountOut(IPair pair, uint256 amount) private view returns (uint256) {
        (uint256 reserveWeth, uint256 reserveOther) = _reserves(pair);
        uint256 paid = amount * AFTER_FEE;
        return paid * reserveWeth / (reserveOther * FEE_BASE + paid);
    }

    /// WETH that `pair` wants for `amount` of the other token, rounded up.
    function _amountIn(IPair pair, uint256 amount) private view returns (uint256) {
        (uint256 reserveWeth, uint256 reserveOther) = _reserves(pair);
        return reserveWeth * amount * FEE_BASE / ((reserveOther - amount) * AFTER_FEE) + 1;
    }

    function _reserves(IPair pair) private view returns (uint256 ofWeth, uint256 ofOther) {
        (uint256 reserve0, uint256 reserve1,) = pair.getReserves();
        return pair.token0() == weth ? (reserve0, reserve1) : (reserve1, reserve0);
    }
}
