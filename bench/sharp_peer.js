// The peer: sharp makes the same sizes from the same file. Prints JSON lines of CPU and wall milliseconds.
//   node sharp_peer.js FILE RUNS RECIPES(JSON)
const fs = require('node:fs');
const sharp = require('sharp');

sharp.cache(false);
sharp.concurrency(1);

const [file, runs, recipes] = [process.argv[2], Number(process.argv[3]), JSON.parse(process.argv[4])];
const data = fs.readFileSync(file);
const encoded = (image, r) => image.webp({ quality: r.quality, effort: r.effort }).toBuffer();
const first = (r) => sharp(data).rotate().resize(r.edge, r.edge, { fit: 'cover' });
const bare = (image) => image.removeAlpha().raw().toBuffer({ resolveWithObject: true });
const given = ({ data: pixels, info }) => sharp(pixels, {
  raw: { width: info.width, height: info.height, channels: info.channels },
});
const smaller = (made, r) => (made.info.width > r.edge
  ? given(made).resize(r.edge, r.edge).raw().toBuffer({ resolveWithObject: true }) : made);

const ways = {
  // As its documentation shows: one pipeline a size, each from the file.
  async separate_pixels() {
    for (const r of recipes) await bare(first(r));
  },
  async separate() {
    for (const r of recipes) await encoded(first(r), r);
  },
  // Our cascade in its words: one decode, each size from the one before, pixels handed on raw.
  async cascade_pixels() {
    let made = await bare(first(recipes[0]));
    for (const r of recipes) made = await smaller(made, r);
  },
  async cascade() {
    let made = await bare(first(recipes[0]));
    for (const r of recipes) {
      made = await smaller(made, r);
      await encoded(given(made), r);
    }
  },
};

(async () => {
  for (const [way, run] of Object.entries(ways)) {
    await run();
    for (let n = 0; n < runs; n += 1) {
      const cpu = process.cpuUsage();
      await run();
      const used = process.cpuUsage(cpu);
      console.log(JSON.stringify({ way, cpu_ms: (used.user + used.system) / 1e3 }));
    }
  }
  // Not resourceUsage().maxRSS: that remembers the parent's size from before exec.
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  console.log(JSON.stringify({ peak_kb: Number((status.match(/VmHWM:\s+(\d+)/) || [0, NaN])[1]) }));
})();
