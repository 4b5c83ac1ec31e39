// The peer: sharp makes the same sizes from the same file. Prints JSON lines of CPU and wall milliseconds.
//   node sharp_peer.js FILE RUNS RECIPES(JSON)
const fs = require('node:fs');
const sharp = require('sharp');

sharp.cache(false);
sharp.concurrency(1);

const [file, runs, recipes] = [process.argv[2], Number(process.argv[3]), JSON.parse(process.argv[4])];
const data = fs.readFileSync(file);
const encoded = (image, r) => image.webp({ quality: r.quality, effort: r.effort }).toBuffer();

const ways = {
  // As its documentation shows: one pipeline a size, each from the file.
  async separate() {
    for (const r of recipes) {
      await encoded(sharp(data).rotate().resize(r.edge, r.edge, { fit: 'cover' }), r);
    }
  },
  // Our cascade in its words: one decode, each size from the one before, pixels handed on raw.
  async cascade() {
    let { data: raw, info } = await sharp(data).rotate().resize(recipes[0].edge, recipes[0].edge, { fit: 'cover' })
      .removeAlpha().raw().toBuffer({ resolveWithObject: true });
    for (const r of recipes) {
      const image = sharp(raw, { raw: { width: info.width, height: info.height, channels: info.channels } });
      if (info.width > r.edge) {
        ({ data: raw, info } = await image.resize(r.edge, r.edge).raw().toBuffer({ resolveWithObject: true }));
      }
      await encoded(sharp(raw, { raw: { width: info.width, height: info.height, channels: info.channels } }), r);
    }
  },
};

(async () => {
  for (const [way, run] of Object.entries(ways)) {
    await run();
    for (let n = 0; n < runs; n += 1) {
      const cpu = process.cpuUsage();
      const begin = process.hrtime.bigint();
      await run();
      const used = process.cpuUsage(cpu);
      const wall = Number(process.hrtime.bigint() - begin) / 1e6;
      console.log(JSON.stringify({ way, cpu_ms: (used.user + used.system) / 1e3, wall_ms: wall }));
    }
  }
  // Not resourceUsage().maxRSS: that remembers the parent's size from before exec.
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  console.log(JSON.stringify({ peak_kb: Number((status.match(/VmHWM:\s+(\d+)/) || [0, NaN])[1]) }));
})();
