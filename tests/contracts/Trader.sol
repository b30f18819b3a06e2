// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

interface IPair {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address to) external returns (uint256);
    function sync() external;
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
    function swap(address tokenIn, address to) external returns (uint256);
    function swap(bool zeroForOne, uint256 amountIn, int24 tickAfter, address to) external returns (uint256);
}

interface IConcentrated {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address recipient, int24 lower, int24 upper, uint128 amount, bytes calldata data)
        external returns (uint256, uint256);
    function burn(int24 lower, int24 upper, uint128 amount) external returns (uint256, uint256);
    function swap(address recipient, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data)
        external returns (int256, int256);
}

interface IAsset {
    function transfer(address to, uint256 value) external returns (bool);
}

/// @title Holds tokens and uses pools of all kinds with them; only for tests, anybody may use it
contract Trader {
    uint160 private constant LOWEST = 4295128739;
    uint160 private constant HIGHEST = 1461446703485210103287273052203988822378723970342;

    /// Gives a pair its first liquidity, or more.
    function fillPair(IPair pair, uint256 amount0, uint256 amount1) external {
        _send(pair.token0(), address(pair), amount0);
        _send(pair.token1(), address(pair), amount1);
        pair.mint(address(this));
    }

    /// Gives a Solidly or Slipstream pool tokens.
    function fill(address pool, uint256 amount0, uint256 amount1, bool sync) external {
        _send(IPair(pool).token0(), pool, amount0);
        _send(IPair(pool).token1(), pool, amount1);
        if (sync) IPair(pool).sync();
    }

    function fillConcentrated(IConcentrated pool, int24 lower, int24 upper, uint128 amount) external {
        pool.mint(address(this), lower, upper, amount, "");
    }

    function drainConcentrated(IConcentrated pool, int24 lower, int24 upper, uint128 amount) external {
        pool.burn(lower, upper, amount);
    }

    function swapPair(IPair pair, bool zeroForOne, uint256 amountIn, uint256 amountOut) external {
        _send(zeroForOne ? pair.token0() : pair.token1(), address(pair), amountIn);
        pair.swap(zeroForOne ? 0 : amountOut, zeroForOne ? amountOut : 0, address(this), "");
    }

    function swapSolidly(IPair pair, bool zeroForOne, uint256 amountIn) external {
        address token = zeroForOne ? pair.token0() : pair.token1();
        _send(token, address(pair), amountIn);
        pair.swap(token, address(this));
    }

    function swapSlipstream(IPair pair, bool zeroForOne, uint256 amountIn, int24 tickAfter) external {
        _send(zeroForOne ? pair.token0() : pair.token1(), address(pair), amountIn);
        pair.swap(zeroForOne, amountIn, tickAfter, address(this));
    }

    function swapConcentrated(IConcentrated pool, bool zeroForOne, int256 amount)
        external returns (int256, int256)
    {
        return pool.swap(address(this), zeroForOne, amount, zeroForOne ? LOWEST + 1 : HIGHEST - 1, "");
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        _pay(owed0, owed1);
    }

    function pancakeV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        _pay(owed0, owed1);
    }

    function uniswapV3SwapCallback(int256 delta0, int256 delta1, bytes calldata) external {
        _pay(delta0 > 0 ? uint256(delta0) : 0, delta1 > 0 ? uint256(delta1) : 0);
    }

    function pancakeV3SwapCallback(int256 delta0, int256 delta1, bytes calldata) external {
        _pay(delta0 > 0 ? uint256(delta0) : 0, delta1 > 0 ? uint256(delta1) : 0);
    }

    function _pay(uint256 owed0, uint256 owed1) private {
        _send(IConcentrated(msg.sender).token0(), msg.sender, owed0);
        _send(IConcentrated(msg.sender).token1(), msg.sender, owed1);
    }

    function _send(address token, address to, uint256 value) private {
        if (value > 0) require(IAsset(token).transfer(to, value), "transfer");
    }
}

/// @title Creates one pool that asks its creator for its parameters
/// @notice The package of Pancake's V3 core has the pool's code, but not that of the contract that creates pools.
contract PoolDeployer {
    struct Parameters {
        address factory;
        address token0;
        address token1;
        uint24 fee;
        int24 tickSpacing;
    }

    Parameters public parameters;
    address public pool;

    function create(address token0, address token1, uint24 fee, int24 tickSpacing, bytes memory code) external {
        parameters = Parameters(address(this), token0, token1, fee, tickSpacing);
        address made;
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), "no pool");
        pool = made;
    }
}
