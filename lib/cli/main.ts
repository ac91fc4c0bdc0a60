#!/usr/bin/env node
import 'reflect-metadata';
import { processIo } from './io.js';
import { runProgram } from './program.js';

const code = await runProgram(process.argv.slice(2), processIo());
// A failure to print has set an exit code already.
process.exitCode ||= code;
