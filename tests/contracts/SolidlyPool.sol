// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function decimals() external view returns (uint8);
    function transfer(address to, uint256 value) external returns (bool);
}

/// @title A pool of the Solidly kind, volatile (xy) or stable (x3y + xy3), written from the published formulas
/// @notice It is its own factory. Fees are in basis points, are taken from what goes in and leave the pool.
contract SolidlyPool {
    event Fees(address indexed sender, uint256 amount0, uint256 amount1);
    event Sync(uint256 reserve0, uint256 reserve1);
    event Swap(
        address indexed sender, address indexed to,
        uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out
    );

    error NoSolution();

    uint256 private constant UNIT = 1e18;
    address private constant FEES = address(0xfee);

    address public immutable token0;
    address public immutable token1;
    bool public immutable stable;
    uint256 private immutable unit0;
    uint256 private immutable unit1;
    uint256 public fee;
    uint256 private reserve0;
    uint256 private reserve1;
    uint256 private changed;

    constructor(address one, address other, bool stable_, uint256 fee_) {
        (token0, token1) = one < other ? (one, other) : (other, one);
        stable = stable_;
        fee = fee_;
        unit0 = 10 ** IToken(token0).decimals();
        unit1 = 10 ** IToken(token1).decimals();
    }

    function factory() external view returns (address) {
        return address(this);
    }

    function getFee(address, bool) external view returns (uint256) {
        return fee;
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function getReserves() external view returns (uint256, uint256, uint256) {
        return (reserve0, reserve1, changed);
    }

    function metadata() external view returns (uint256, uint256, uint256, uint256, bool, address, address) {
        return (unit0, unit1, reserve0, reserve1, stable, token0, token1);
    }

    /// Takes what was sent to the pool as its reserves.
    function sync() public {
        reserve0 = IToken(token0).balanceOf(address(this));
        reserve1 = IToken(token1).balanceOf(address(this));
        changed = block.timestamp;
        emit Sync(reserve0, reserve1);
    }

    function getAmountOut(uint256 amountIn, address tokenIn) public view returns (uint256) {
        amountIn -= (amountIn * fee) / 10000;
        bool forward = tokenIn == token0;
        if (!stable) {
            (uint256 mine, uint256 theirs) = forward ? (reserve0, reserve1) : (reserve1, reserve0);
            return (amountIn * theirs) / (mine + amountIn);
        }
        uint256 x = (reserve0 * UNIT) / unit0;
        uint256 y = (reserve1 * UNIT) / unit1;
        uint256 k = _k(x, y);
        if (!forward) (x, y) = (y, x);
        uint256 scaled = (amountIn * UNIT) / (forward ? unit0 : unit1);
        return ((y - _solve(scaled + x, k, y)) * (forward ? unit1 : unit0)) / UNIT;
    }

    /// Swaps what was sent to the pool since the last change of its reserves.
    function swap(address tokenIn, address to) external returns (uint256 out) {
        bool forward = tokenIn == token0;
        uint256 amountIn = IToken(tokenIn).balanceOf(address(this)) - (forward ? reserve0 : reserve1);
        out = getAmountOut(amountIn, tokenIn);
        uint256 taken = (amountIn * fee) / 10000;
        IToken(tokenIn).transfer(FEES, taken);
        IToken(forward ? token1 : token0).transfer(to, out);
        emit Fees(msg.sender, forward ? taken : 0, forward ? 0 : taken);
        sync();
        if (forward) emit Swap(msg.sender, to, amountIn, 0, 0, out);
        else emit Swap(msg.sender, to, 0, amountIn, out, 0);
    }

    function _k(uint256 x, uint256 y) private pure returns (uint256) {
        return ((x * y) / UNIT) * ((x * x) / UNIT + (y * y) / UNIT) / UNIT;
    }

    function _slope(uint256 x, uint256 y) private pure returns (uint256) {
        return (3 * x * ((y * y) / UNIT)) / UNIT + (((x * x) / UNIT) * x) / UNIT;
    }

    /// The y that belongs to x on the curve, by Newton's method from the present one.
    function _solve(uint256 x, uint256 k, uint256 y) private pure returns (uint256) {
        for (uint256 round = 0; round < 255; round++) {
            uint256 found = _k(x, y);
            if (found < k) {
                uint256 step = ((k - found) * UNIT) / _slope(x, y);
                if (step == 0) {
                    if (_k(x, y + 1) > k) return y + 1;
                    step = 1;
                }
                y += step;
            } else {
                uint256 step = ((found - k) * UNIT) / _slope(x, y);
                if (step == 0) {
                    if (found == k || _k(x, y - 1) < k) return y;
                    step = 1;
                }
                y -= step;
            }
        }
        revert NoSolution();
    }
}
