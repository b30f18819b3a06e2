// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

interface IBalance {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
}

/// @title A pool of the Slipstream kind as far as it is read: six words of slot0, a fee that moves, one range
/// @notice Swaps follow the published formulas of concentrated liquidity. The caller tells the tick that belongs
///         to the price afterwards, for the logarithm is not what is tested here; and products fit into a word.
contract SlipstreamPool {
    event Swap(
        address indexed sender, address indexed recipient,
        int256 amount0, int256 amount1, uint160 sqrtPriceX96, uint128 liquidity, int24 tick
    );

    address public immutable token0;
    address public immutable token1;
    int24 public constant tickSpacing = 100;
    uint24 public fee;
    uint128 public liquidity;
    uint160 private price;
    int24 private tick;

    constructor(address one, address other, uint160 price_, int24 tick_, uint128 liquidity_, uint24 fee_) {
        (token0, token1) = one < other ? (one, other) : (other, one);
        (price, tick, liquidity, fee) = (price_, tick_, liquidity_, fee_);
    }

    function slot0() external view returns (uint160, int24, uint16, uint16, uint16, bool) {
        return (price, tick, 7, 8, 9, true);
    }

    function setFee(uint24 fee_) external {
        fee = fee_;
    }

    /// Swaps so much, which must have been sent to the pool.
    function swap(bool zeroForOne, uint256 amountIn, int24 tickAfter, address to) external returns (uint256 out) {
        uint256 paid = (amountIn * (1e6 - fee)) / 1e6;
        uint256 before = price;
        uint256 scaled = uint256(liquidity) << 96;
        uint256 then;
        if (zeroForOne) {
            uint256 divisor = scaled + paid * before;
            then = (scaled * before + divisor - 1) / divisor;
            out = (uint256(liquidity) * (before - then)) >> 96;
        } else {
            then = before + (paid << 96) / liquidity;
            out = (scaled * (then - before)) / then / before;
        }
        price = uint160(then);
        tick = tickAfter;
        IBalance(zeroForOne ? token1 : token0).transfer(to, out);
        (int256 amount0, int256 amount1) =
            zeroForOne ? (int256(amountIn), -int256(out)) : (-int256(out), int256(amountIn));
        emit Swap(msg.sender, to, amount0, amount1, price, liquidity, tick);
    }
}
