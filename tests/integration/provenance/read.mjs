// What two readers say of pictures: `node read.mjs ROOT_PEM FILE...` prints a line of JSON for each.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { brotliDecompressSync } from 'node:zlib'
import init, { WasmReader } from '@contentauth/c2pa-wasm'
import { BMFF, JPEG, PNG } from '@trustnxt/c2pa-ts/asset'
import { SuperBox } from '@trustnxt/c2pa-ts/jumbf'
import { ManifestStore } from '@trustnxt/c2pa-ts/manifest'

// c2pa-ts reads no WebP: its asset is the bytes, and the chunk that holds the manifest.
class WebP {
  mimeType = 'image/webp'
  constructor(data) { this.data = data }
  getDataLength() { return this.data.length }
  async getDataRange(start = 0, length = this.data.length - start) { return this.data.subarray(start, start + length) }
  getManifestJUMBF() {
    for (let at = 12; at < this.data.length;) {
      const size = this.data.readUInt32LE(at + 4)
      if (this.data.toString('latin1', at, at + 4) === 'C2PA') return this.data.subarray(at + 8, at + 8 + size)
      at += 8 + size + (size % 2)
    }
  }
}

// Nor does it open compressed manifests: a store, a description, the manifest's description, and one Brotli box.
function opened(store) {
  const size = at => store.readUInt32BE(at)
  const manifest = 8 + size(8)
  const squeezed = manifest + 8 + size(manifest + 8)
  if (store.toString('latin1', squeezed + 4, squeezed + 8) !== 'brob') return store
  const inner = brotliDecompressSync(store.subarray(squeezed + 8, squeezed + size(squeezed)))
  const whole = Buffer.concat([store.subarray(0, manifest), inner])
  whole.writeUInt32BE(whole.length, 0)
  return whole
}

async function independently(data) {
  const kinds = [JPEG, PNG, BMFF]
  const asset = data.toString('latin1', 8, 12) === 'WEBP' ? new WebP(data) : new (kinds.find(kind => kind.canRead(data)))(data)
  const jumbf = asset.getManifestJUMBF()
  if (!jumbf) return { valid: false, codes: ['none'] }
  try {
    const store = ManifestStore.read(SuperBox.fromBuffer(opened(Buffer.from(jumbf))))
    const result = await store.validate(asset)
    return { valid: result.isValid, codes: result.statusEntries.map(one => one.code) }
  } catch (error) {
    return { valid: false, codes: [String(error)] }
  }
}

const [root, ...files] = process.argv.slice(2)
const pem = new X509Certificate(readFileSync(root)).toString()
const context = JSON.stringify({ trust: { trust_anchors: pem }, verify: { verify_trust: true } })
await init({ module_or_path: readFileSync(createRequire(import.meta.url).resolve('@contentauth/c2pa-wasm/c2pa.wasm')) })
for (const file of files) {
  const data = readFileSync(file)
  let web
  try {
    const told = (await WasmReader.fromBytes(`image/${file.split('.').pop()}`, data, context)).manifestStore()
    web = { state: told.validation_state, labels: told.manifests[told.active_manifest].assertions.map(one => one.label) }
  } catch (error) {
    web = { state: String(error), labels: [] }
  }
  console.log(JSON.stringify({ web, independent: await independently(data) }))
}
