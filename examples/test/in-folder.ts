process.chdir(process.env.CWD!);
await import(process.env.START!);
