#!/usr/bin/env node
import { processIo } from './io.js';
import { runProgram } from './program.js';

const code = await runProgram(process.argv.slice(2), processIo());
// What could not be printed has set it already.
process.exitCode ||= code;
