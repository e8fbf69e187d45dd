/** `verifyDepsBeforeRun` fails open: a script runs although its install failed. Say so in one line, not in a stack. */
const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  console.error(
    `This script needs the Node 24 that \`pnpm install\` brings (found ${process.version}). The install did not finish: run \`npx -y pnpm@12 install\` and read its error.`,
  )
  process.exitCode = 1
}
