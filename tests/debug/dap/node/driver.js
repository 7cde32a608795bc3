// Plays a scenario with Microsoft's test client of the Debug Adapter Protocol, and prints what happened as JSON.
//
//   node driver.js FOLDER < scenario.json
//
// FOLDER holds node_modules.  The scenario is an object:
//   adapter   {"port": N}, or {"runtime": COMMAND, "argument": ONE_ARGUMENT} to be started on stdin and stdout
//   steps     a list of steps, done one after the other:
//     {"call": METHOD, "with": [ARGUMENTS]}   a method of the client, such as "launchRequest" or "hitBreakpoint"
//     {"expect": EVENT}                       an event that came since the last expectation, or comes now
//     {"fails": STEP}                         the step inside fails; the result is its message
//     {"together": [STEPS]}                   all at once, as an editor would
// Printed is {"results": [...], "events": [...]}: a result for each step, and every event in order.  The first step that
// does not succeed ends the scenario: then there is also "error".

"use strict";

const path = require("path");

async function main() {
  const folder = process.argv[2];
  const { DebugClient } = require(path.join(folder, "node_modules", "@vscode", "debugadapter-testsupport"));
  const scenario = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const { port, runtime, argument } = scenario.adapter;
  const client = new DebugClient(runtime || "none", argument || "none", "pybpftime");
  client.defaultTimeout = 60000; // the machine may be busy
  const events = [];
  const unseen = [];
  const waiters = [];

  const emit = client.emit;
  client.emit = (name, event) => {
    if (event && event.type === "event") {
      events.push(event);
      unseen.push(event);
      waiters.splice(0).forEach((wake) => wake());
    }
    return emit.call(client, name, event);
  };

  async function expected(name) {
    for (;;) {
      const index = unseen.findIndex((event) => event.event === name);
      if (index >= 0) {
        return unseen.splice(index, 1)[0];
      }
      await new Promise((resolve) => waiters.push(resolve));
    }
  }

  async function done(step) {
    if (step.together) {
      return Promise.all(step.together.map(done));
    }
    if (step.expect) {
      return expected(step.expect);
    }
    if (step.fails) {
      let result;
      try {
        result = await done(step.fails);
      } catch (error) {
        return error.message;
      }
      throw new Error(`did not fail: ${JSON.stringify(result)}`);
    }
    return client[step.call](...(step.with || []));
  }

  const report = { results: [], events };
  try {
    await client.start(port);
    for (const step of scenario.steps) {
      report.results.push((await done(step)) ?? null);
    }
  } catch (error) {
    report.error = error.message;
  }
  process.stdout.write(JSON.stringify(report));
  await client.stop(); // sends `disconnect`
  process.exit(0);
}

main();
