// A JavaScript heap: objects, strings, and buffers of which some are equal.
const rows = [];
for (let n = 0; n < 20000; n++) rows.push({ id: n, name: `row ${n % 100}` });
const buffers = [];
for (let n = 0; n < 300; n++) buffers.push(Buffer.alloc(4096 * 2, n % 60));
process.kill(process.pid, 'SIGSTOP');
