// Compiles contracts/*.sol and prints {"<Contract>": {"abi": [...], "bytecode": "0x..."}}; needs no network.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const solc = require('solc')

const directory = path.join(__dirname, 'contracts')
const sources = {}
for (const file of fs.readdirSync(directory).filter((name) => name.endsWith('.sol'))) {
  sources[file] = { content: fs.readFileSync(path.join(directory, file), 'utf8') }
}

const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: 'Solidity',
      sources,
      settings: {
        evmVersion: 'cancun', // the first with transient storage
        optimizer: { enabled: true, runs: 1000 },
        outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
      },
    }),
  ),
)

const problems = output.errors ?? []
for (const problem of problems) console.error(problem.formattedMessage)
if (problems.some((problem) => problem.severity === 'error')) process.exit(1)

const compiled = {}
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    if (contract.evm.bytecode.object === '') continue // an interface
    compiled[name] = { abi: contract.abi, bytecode: '0x' + contract.evm.bytecode.object }
  }
}
console.log(JSON.stringify(compiled))
