// A page of wabun report in a real browser (Chromium by playwright-core), opened from its file: charts, controls, what is
// under the pointer, both languages, three widths, light and dark, without scripts; no complaint, no request; axe-core.
//   node report.mjs ONE.html KILLED.html SEVERAL.html METRICS.jsonl     ONE is of the run with these metrics, KILLED of one
//                                                                       with three restarts, SEVERAL of five
//   WABUN_CHROMIUM=PROGRAM (/usr/bin/chromium); WABUN_SHOTS=DIR keeps pictures
import {readFileSync} from "fs";
import {createRequire} from "module";
import {pathToFileURL} from "url";
import {chromium} from "playwright-core";

const [one, killed, several, metrics] = process.argv.slice(2), shots = process.env.WABUN_SHOTS;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({executablePath: process.env.WABUN_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"]});
let bad = false;
const complaints = [];
const ok = (what, good, more = "") => { bad ||= !good; console.log(`${good ? "ok" : "not ok"} ${what}${good || more === "" ? "" : "\n# " + more}`); };
const open = async (file, options = {}) => {
  const url = pathToFileURL(file).href;
  const page = await (await browser.newContext({viewport: {width: 1300, height: 900}, ...options})).newPage();
  page.on("console", m => complaints.push(m.text()));
  page.on("pageerror", e => complaints.push(String(e)));
  page.on("request", r => { if (r.url() !== url && !r.url().startsWith("data:")) complaints.push("a request to " + r.url()); });
  page.setDefaultTimeout(30000);
  await page.goto(url);
  return page;
};
// Every chart comes into view once.
const scroll = page => page.evaluate(async () => {
  for (const figure of document.querySelectorAll(".chart")) {
    figure.scrollIntoView();
    await new Promise(done => { const look = () => figure.querySelector("canvas") ? done() : requestAnimationFrame(look); look(); });
  }
  scrollTo(0, 0);
});
const pixels = (page, id) => page.evaluate(id => {
  const c = document.querySelector(`#${id} canvas`), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  let n = 0;
  for (let i = 3; i < d.length; i += 4) n += d[i] > 0;
  return n;
}, id);
const picture = (page, id) => page.evaluate(id => document.querySelector(`#${id} canvas`).toDataURL(), id);

// ---- every width
for (const [file, what] of [[one, "one run"], [killed, "killed run"], [several, "five runs"]])
  for (const [width, colorScheme, lang] of [[1400, "light", "ja"], [1400, "dark", "en"], [800, "dark", "ja"], [390, "light", "en"], [390, "dark", "ja"]]) {
    const page = await open(file, {viewport: {width, height: 900}, colorScheme, bypassCSP: true});
    if (await page.evaluate(() => document.documentElement.lang) !== lang) await page.locator("#lang").click();
    await scroll(page);
    ok(`no sideways scrolling: ${what}, ${width} px`, await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await page.evaluate(axe);
    const {violations} = await page.evaluate(() => window.axe.run());
    const serious = violations.filter(v => ["serious", "critical"].includes(v.impact));
    ok(`axe-core: nothing serious: ${what}, ${width} px, ${colorScheme}, ${lang}`, serious.length === 0,
      serious.map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 80)).join(" | ")}`).join("\n# "));
    if (shots) await page.screenshot({path: `${shots}/report-${what.replace(" ", "-")}-${width}-${colorScheme}.png`, fullPage: true});
    await page.context().close();
  }

// ---- what it shows
const page = await open(one);
await scroll(page);
const records = readFileSync(metrics, "utf8").trim().split("\n").map(line => JSON.parse(line));
const step = records.filter(r => r.loss !== undefined).at(-1);
const cells = await page.locator("#numbers table").nth(1).locator("tbody tr").last().locator("td").allInnerTexts();
ok("the last record in the table, as in metrics.jsonl",
  +cells[0] === step.step && +cells[1] === step.tokens && +cells[2] === step.loss && +cells[3] === step.lr && +cells[4] === step.grad_norm &&
  +cells[5] === step.tokens_per_s && +cells[6] === step.mfu, cells.join(" "));
const drawn = await page.locator(".chart").evaluateAll(figures => figures.map(f => f.id));
ok("charts", ["loss", "bpb", "lr", "grad_norm", "tokens_per_s", "mfu", "phases", "ranks", "saves", "memory"].every(id => drawn.includes(id)), drawn.join(" "));
for (const id of drawn) if (await pixels(page, id) < 200) ok(`${id} is drawn`, false);
const plain = await picture(page, "loss");
await page.locator("#logx").check();
const logarithmic = await picture(page, "loss");
ok("a logarithmic axis", logarithmic !== plain && await pixels(page, "loss") > 200);
await page.locator("#logx").uncheck();
ok("and back", await picture(page, "loss") === plain);
await page.locator("#logy").check();
ok("the other one", await picture(page, "loss") !== plain);
await page.locator("#logy").uncheck();
await page.locator("#smooth").fill("0.95");
ok("smoothing", await picture(page, "loss") !== plain);
await page.locator("#smooth").fill("0");
const labels = () => page.locator("#loss .dygraph-axis-label-x").allInnerTexts().then(l => l.join(" "));
const steps = await labels();
await page.locator("input[value=tokens]").check();
ok("over tokens", await labels() !== steps, steps);
await page.locator("input[value=step]").check();
await page.locator("#marks").uncheck();
ok("without marks", await picture(page, "loss") !== plain);
await page.locator("#marks").check();
const box = await page.locator("#loss .plot").boundingBox();
await page.mouse.move(box.x + box.width - 12, box.y + 100);
await page.locator(".tip").waitFor();
const tip = await page.locator(".tip").innerText();
ok("the numbers under the pointer", tip.includes(String(+step.loss.toPrecision(6))), tip);
await page.mouse.move(box.x + 150, box.y + 100);
await page.mouse.down();
await page.mouse.move(box.x + 400, box.y + 105, {steps: 4});
await page.mouse.up();
ok("a part is enlarged", await picture(page, "loss") !== plain);
const enlarged = await picture(page, "lr");
await page.locator("#reset").click();
ok("in all charts, and the whole again", await picture(page, "loss") === plain && await picture(page, "lr") !== enlarged);
await page.locator("#theme").click();
ok("dark", await page.evaluate(() => getComputedStyle(document.body).backgroundColor) === "rgb(22, 23, 26)" && await picture(page, "loss") !== plain);
const before = await page.locator("h2").first().innerText();
await page.locator("#lang").click();
ok("the other language", before !== await page.locator("h2").first().innerText());

const many = await open(several);
await scroll(many);
ok("a box for each run", await many.locator("#runs input").count() === 5);
const tops = await many.evaluate(() => [...document.querySelectorAll("[data-chart=phases]")].map(f => [...f.querySelectorAll(".dygraph-axis-label-y")].map(l => l.innerText).join(" ")));
ok("a chart of phases for each, on one scale", tops.length === 5 && tops.every(t => t !== "" && t === tops[0]), tops.join(" | "));
const both = await picture(many, "loss");
await many.locator("#runs input").first().uncheck();
ok("takes its curves away", await picture(many, "loss") !== both);
ok("and its phases", await many.locator("#phases-0").isHidden() && await many.locator("#phases-1").isVisible());

// ---- marks
const red = (page, id) => page.evaluate(id => { // columns of the plot that are red from top to bottom
  const c = document.querySelector(`#${id} canvas`), copy = new OffscreenCanvas(c.width, c.height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(c, 0, 0); // a canvas that is read often is slower, says Chromium
  const d = copy.getImageData(0, 0, c.width, c.height).data;
  let n = 0, before = false;
  for (let x = 60; x < c.width - 10; x++) {
    let all = 0;
    for (let y = 10; y < c.height - 40; y++) { const i = 4 * (y * c.width + x); all += d[i] > 140 && d[i + 1] < 120 && d[i + 2] < 120; }
    const now = all > 0.5 * (c.height - 50);
    n += now && !before;
    before = now;
  }
  return n;
}, id);
const again = await open(killed);
await scroll(again);
ok("three restarts in the key", (await again.locator("#key").innerText()).includes("restarts (3)"));
ok("and in a chart", await red(again, "grad_norm") === 3, String(await red(again, "grad_norm")));
await again.locator("#marks").uncheck();
ok("not without marks", await red(again, "grad_norm") === 0);

// ---- without scripts
const still = await open(one, {javaScriptEnabled: false});
ok("drawings without scripts", await still.locator("#loss svg polyline").count() >= 1 && await still.locator("#loss svg").isVisible());
ok("and no controls", !await still.locator("#controls").isVisible());
ok("no complaint, no request", complaints.length === 0, complaints.join("\n# "));
await browser.close();
process.exit(bad ? 1 : 0);
