// Starts `probe` in each way that Node has, named on the command line.
"use strict";
const child_process = require("node:child_process");
const { once } = require("node:events");
const { promisify } = require("node:util");

const execute = promisify(child_process.exec);
const executeFile = promisify(child_process.execFile);

async function spawned(name, args, options) {
  const child = child_process.spawn(name, args, { stdio: "inherit", ...options });
  const [code, signal] = await once(child, "exit");
  console.log(code, signal);
}

const ways = {
  "spawn": (label) => spawned("probe", [label]),
  "spawn-status": (label) => spawned("probe", [label, "7"]),
  "spawn-shell": (label) => spawned(`probe ${label}`, [], { shell: true }),
  "spawn-detached": (label) => spawned("probe", [label], { detached: true }),
  "spawn-env": (label) => spawned("probe", [label], { env: { PATH: process.env.PATH } }),
  "spawn-cwd": (label) => spawned("probe", [label], { cwd: "/" }),
  "spawn-argv0": (label) => spawned("probe", [label], { argv0: "another-name" }),
  "exec": async (label) => console.log((await execute(`probe ${label}`)).stdout),
  "execFile": async (label) => console.log((await executeFile("probe", [label])).stdout),
  "spawnSync": (label) => console.log(child_process.spawnSync("probe", [label]).stdout.toString()),
  "execSync": (label) => console.log(child_process.execSync(`probe ${label}`).toString()),
  "execFileSync": (label) => console.log(child_process.execFileSync("probe", [label]).toString()),
};

async function main() {
  for (const way of process.argv.slice(2)) {
    console.log(way);
    await ways[way](way);
  }
}

main();
