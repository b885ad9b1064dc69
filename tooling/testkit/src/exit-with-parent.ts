// Preloaded into every child: nothing else tells a child that its parent was killed with SIGKILL.
const CHECK_MS = 250;
const parent = Number(new URL(import.meta.url).searchParams.get("parent"));

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
}, CHECK_MS).unref();
