// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The functions of Multicall3 that the exporter uses, written from its interface
/// @notice Tests put its code at Multicall3's address; calls that fail take nothing with them if they may.
contract Multicall {
    struct Call {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    error Failed(uint256 place);

    function aggregate3(Call[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 place = 0; place < calls.length; place++) {
            (bool success, bytes memory data) = calls[place].target.call(calls[place].callData);
            require(success || calls[place].allowFailure, Failed(place));
            results[place] = Result(success, data);
        }
    }

    function getBlockNumber() external view returns (uint256) {
        return block.number;
    }

    function getCurrentBlockTimestamp() external view returns (uint256) {
        return block.timestamp;
    }
}
