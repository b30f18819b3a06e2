// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title An ERC-20 token of any decimals that anybody may mint
contract Token {
    string public symbol;
    uint8 public immutable decimals;
    mapping(address account => uint256) public balanceOf;

    constructor(string memory symbol_, uint8 decimals_) {
        symbol = symbol_;
        decimals = decimals_;
    }

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        return true;
    }
}
