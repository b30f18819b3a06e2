// Compiles *.sol beside it and prints {"<Contract>": {"abi": [...], "bytecode": "0x..."}}; needs no network.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const solc = require('../../demo/node_modules/solc')

const sources = {}
for (const file of fs.readdirSync(__dirname).filter((name) => name.endsWith('.sol'))) {
  sources[file] = { content: fs.readFileSync(path.join(__dirname, file), 'utf8') }
}
const settings = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
}
const output = JSON.parse(solc.compile(JSON.stringify({ language: 'Solidity', sources, settings })))
const errors = (output.errors ?? []).filter((problem) => problem.severity === 'error')
for (const problem of errors) console.error(problem.formattedMessage)
if (errors.length) process.exit(1)

const compiled = {}
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    if (contract.evm.bytecode.object === '') continue // an interface
    compiled[name] = { abi: contract.abi, bytecode: '0x' + contract.evm.bytecode.object }
  }
}
console.log(JSON.stringify(compiled))
