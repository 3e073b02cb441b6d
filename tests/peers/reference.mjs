// reference.mjs MODEL GELU < lines of {"ids": [...]} > its log-probabilities as `wabun score --tokens` prints them: GPT-2 of a Hugging Face directory
// (fp32) in double precision.  GELU: exact, or table: that of ggml, which rounds its argument and its value to 16 bits.
import {readFileSync} from "fs";
const [dir, kind] = process.argv.slice(2);
const config = JSON.parse(readFileSync(dir + "/config.json", "utf8")), file = readFileSync(dir + "/model.safetensors");
const header = Number(file.readBigUInt64LE(0)), tensors = JSON.parse(file.toString("utf8", 8, 8 + header));
const {n_layer: L, n_embd: C, n_head: H} = config, D = C / H;
const get = (name) => {
  const {shape, dtype, data_offsets: [from, to]} = tensors[name] ?? tensors["transformer." + name];
  if (dtype !== "F32") throw new Error(name + " is not F32");
  const at = file.subarray(8 + header + from, 8 + header + to), x = new Float64Array(at.length / 4);
  for (let i = 0; i < x.length; i++) x[i] = at.readFloatLE(4 * i);
  return {x, shape};
};
const half = (x) => {                                     // to the nearest number of 16 bits, ties to even
  if (x === 0 || !Number.isFinite(x)) return x;
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10), n = x / step, low = Math.floor(n);
  return (n - low > 0.5 || (n - low === 0.5 && low % 2 !== 0) ? low + 1 : low) * step;
};
const exact = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const table = (x) => x <= -10 ? 0 : x >= 10 ? x : half(exact(half(x)));
const gelu = {exact, table}[kind];
const add = (a, b) => a.map((x, i) => x + b[i]);
const norm = (x, g, b) => {
  const mean = x.reduce((s, v) => s + v, 0) / C, variance = x.reduce((s, v) => s + (v - mean) ** 2, 0) / C;
  const r = 1 / Math.sqrt(variance + (config.layer_norm_epsilon ?? 1e-5));
  return x.map((v, i) => (v - mean) * r * g[i] + b[i]);
};
const linear = (x, {x: w, shape: [n, m]}, b) => {         // Conv1D: [in, out]
  const y = Float64Array.from(b);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) y[j] += x[i] * w[i * m + j];
  return y;
};
const names = ["ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
  "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"];
const layers = [...Array(L).keys()].map((l) => names.map((name) => get(`h.${l}.${name}`)));
const wte = get("wte.weight"), wpe = get("wpe.weight"), g = get("ln_f.weight").x, b = get("ln_f.bias").x, V = wte.shape[0];
const attend = (q, keys, values) => {
  const out = new Float64Array(C);
  for (let h = 0; h < H; h++) {
    const s = keys.map((k) => { let d = 0; for (let i = h * D; i < h * D + D; i++) d += q[i] * k[i]; return d / Math.sqrt(D); });
    const top = Math.max(...s), e = s.map((v) => Math.exp(v - top)), sum = e.reduce((x, y) => x + y, 0);
    values.forEach((v, t) => { for (let i = h * D; i < h * D + D; i++) out[i] += e[t] / sum * v[i]; });
  }
  return out;
};
for (const line of readFileSync(0, "utf8").split("\n")) {
  if (line === "") continue;
  const {ids} = JSON.parse(line), cache = layers.map(() => ({keys: [], values: []})), logprobs = [];
  for (let t = 0; t + 1 < ids.length; t++) {
    let x = add(wte.x.slice(ids[t] * C, ids[t] * C + C), wpe.x.subarray(t * C, t * C + C));
    layers.forEach(([g1, b1, qkv, bq, proj, bp, g2, b2, fc, bf, out, bo], l) => {
      const y = linear(norm(x, g1.x, b1.x), qkv, bq.x), {keys, values} = cache[l];
      keys.push(y.slice(C, 2 * C)), values.push(y.slice(2 * C));
      x = add(x, linear(attend(y, keys, values), proj, bp.x));
      x = add(x, linear(linear(norm(x, g2.x, b2.x), fc, bf.x).map(gelu), out, bo.x));
    });
    x = norm(x, g, b);
    const z = new Float64Array(V);
    for (let v = 0; v < V; v++) for (let i = 0; i < C; i++) z[v] += x[i] * wte.x[v * C + i];
    const top = z.reduce((m, v) => Math.max(m, v), -Infinity), sum = z.reduce((s, v) => s + Math.exp(v - top), 0);
    logprobs.push(z[ids[t + 1]] - top - Math.log(sum));
  }
  logprobs.push(logprobs.reduce((a, b) => a + b, 0)); // the line's
  console.log(logprobs.map((x) => `\t${x}`).join("\n"));
}
