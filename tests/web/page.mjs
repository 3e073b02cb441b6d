// The page of wabun serve in a real browser (Chromium by playwright-core): a text is typed, streamed, stopped, branched,
// coloured, compared, kept over a reload, shared by link; on a phone, in both languages, by keyboard; axe-core's audit.
//   node page.mjs URL         WABUN_CHROMIUM=PROGRAM (/usr/bin/chromium); WABUN_SHOTS=DIR keeps pictures
import {readFileSync} from "fs";
import {createRequire} from "module";
import {chromium} from "playwright-core";

const url = process.argv[2], shots = process.env.WABUN_SHOTS;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({executablePath: process.env.WABUN_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"]});
let bad = false;
const complaints = [];
const ok = (what, good, more = "") => { bad ||= !good; console.log(`${good ? "ok" : "not ok"} ${what}${good || more === "" ? "" : "\n# " + more}`); };
const desk = async (options = {}) => {
  const context = await browser.newContext({locale: "ja-JP", viewport: {width: 1200, height: 900}, ...options});
  const page = await context.newPage();
  page.on("console", m => { if (["error", "warning"].includes(m.type())) complaints.push(m.text()); });
  page.on("pageerror", e => complaints.push(String(e)));
  page.on("request", r => { if (!r.url().startsWith(url) && !/^(data|blob):/.test(r.url())) complaints.push("a request to " + r.url()); });
  page.setDefaultTimeout(30000);
  return {context, page};
};
const text = page => page.evaluate(() => document.querySelector("#paper").innerText);
const idle = page => page.waitForFunction(() => !document.body.classList.contains("writing"));
const shot = (page, name) => shots ? page.screenshot({path: `${shots}/${name}.png`}) : null;
const audit = async (page, what) => {
  await page.waitForTimeout(400); // colours change slowly
  // The page's rules allow no scripts but its own: this one comes by the debugger.
  await page.evaluate(axe);
  const {violations} = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(v => ["serious", "critical"].includes(v.impact));
  ok(`axe-core: nothing serious, ${what}`, serious.length === 0,
    serious.map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 80)).join(" | ")}`).join("\n# "));
};

const {context, page} = await desk({permissions: ["clipboard-read", "clipboard-write"]});
await page.goto(url + "/");
ok("Japanese first", await page.locator("#go").innerText().then(s => s.includes("続きを書く")));
await shot(page, "empty");

// ---- writing
const begin = "文字を";
await page.locator("#paper").click();
await page.keyboard.type(begin);
await page.keyboard.press("Control+Enter");
await idle(page);
const first = await text(page);
ok("it goes on with what was typed", first.startsWith(begin) && first.length > begin.length + 5, first);
ok("a person's words are no tokens", await page.locator("#paper span:not(.m)").first().innerText() === begin);
await page.keyboard.press("Control+z");
ok("undo takes a stretch back", await text(page) === begin);
await page.locator("#redo").click();
ok("redo", await text(page) === first);

// ---- a long stretch, stopped
await page.locator("#open-settings").click();
await page.locator("#max_tokens").fill("300");
// Watched and stopped within the page: a small model may be done before another process looks.
const streamed = await page.evaluate(n => new Promise(done => {
  const look = new MutationObserver(() => {
    if (document.querySelector("#paper").textContent.length < n + 3) return;
    look.disconnect();
    const during = document.body.classList.contains("writing") && !document.querySelector("#stop").hidden;
    document.querySelector("#stop").click();
    done(during);
  });
  look.observe(document.querySelector("#paper"), {childList: true, subtree: true, characterData: true});
  document.querySelector("#go").click();
  setTimeout(() => done(false), 20000);
}), first.length);
ok("it streams: there is text before the end", streamed);
await idle(page);
const stopped = await text(page);
ok("stop keeps what came", stopped.startsWith(first) && stopped.length > first.length);
await page.locator("#max_tokens").fill("20");

// ---- colours, other words
await page.locator("#colours").check();
await page.locator("#borders").check();
const grades = await page.evaluate(() => new Set([...document.querySelectorAll("#paper .m")].map(e => getComputedStyle(e).backgroundColor)).size);
ok("colours tell how sure it was", grades >= 3 && await page.locator("#legend").isVisible(), `${grades} colours`);
const token = page.locator("#paper .m").nth(3);
await token.hover();
await page.locator("#others").waitFor();
const choices = await page.locator("#others [role=option]").count();
ok("other words that could have come", choices >= 3, `${choices}`);
await shot(page, "others");
const other = page.locator("#others [role=option][aria-selected=false]").first();
const word = (await other.locator("span").innerText()).replaceAll("⏎", "\n").replaceAll("␣", " ");
const kept = await page.evaluate(() => [...document.querySelectorAll("#paper > span")].slice(0, 4).map(e => e.textContent).join(""));
await other.click();
await idle(page);
ok("a click takes one, and it goes on from there", (await page.evaluate(() => document.querySelector("#paper").textContent)).startsWith(kept + word), kept + "|" + word);

// ---- branches
const before = await page.evaluate(() => document.querySelector("#paper").textContent);
await page.keyboard.press("Control+Shift+Enter");
await idle(page);
ok("branches side by side", await page.locator(".branch").count() === 3);
const taken = await page.locator(".branch p").nth(1).evaluate(e => e.textContent);
await shot(page, "branches");
await page.locator(".branch button").nth(1).click();
ok("one is taken up", await page.evaluate(() => document.querySelector("#paper").textContent) === before + taken && await page.locator("#branches").isHidden());
await page.keyboard.press("Control+End");
await page.keyboard.type("そして手で書く。");
ok("and written on by hand", (await text(page)).replaceAll("\n", "").endsWith("そして手で書く。"));

// ---- two settings on one beginning
await page.locator("#compare").check();
await page.locator("#set-b").click();
await page.locator("#temperature").fill("0");
await page.locator("#fork").click();
await idle(page);
const names = await page.locator(".branch h3 span:first-child").allInnerTexts();
ok("two settings compared", names.length === 2 && names[0].startsWith("A") && names[1].startsWith("B"), names.join(", "));
await page.locator("#compare").uncheck();
await page.locator(".branch-head button").click();

// ---- it stays
const last = await text(page);
await page.waitForTimeout(700);
await page.reload();
ok("a reload keeps the text and its tokens", await text(page) === last && await page.locator("#paper .m").count() > 3);
await page.locator("#fresh").click();
ok("a new sheet", (await text(page)).trim() === "");
await page.locator("#open-works").click();
ok("the old one is in the history", await page.locator("#work-list .open").count() >= 1);
await page.locator("#work-list .open").first().click();
ok("and comes back", await text(page) === last);
await audit(page, "history open");

// ---- a link
await page.locator("#share").click();
const link = await page.evaluate(() => navigator.clipboard.readText());
const guest = await desk();
await guest.page.goto(link);
ok("a link restores text and settings elsewhere", link.includes("#") && await text(guest.page) === last &&
  await guest.page.locator("#max_tokens").evaluate(e => e.value) === "20");
ok("and the address is clean again", !guest.page.url().includes("#"));
await guest.context.close();

// ---- looks
await page.locator("#open-settings").click();
await page.locator("#vertical").check();
const mode = await page.locator("#paper").evaluate(e => getComputedStyle(e).writingMode);
ok("vertical writing", mode === "vertical-rl", mode);
await shot(page, "vertical");
await page.locator("#vertical").uncheck();
await page.locator("#theme").selectOption("light");
await audit(page, "by day");
await page.locator("#theme").selectOption("dark");
await audit(page, "by night");
await shot(page, "dark");
await page.locator("#lang").click();
ok("English by a switch", /write on|continue|go on/i.test(await page.locator("#go").innerText()) && await page.evaluate(() => document.documentElement.lang) === "en");
await audit(page, "in English");
await page.locator("#paper").click();
await page.keyboard.press("Control+Home");
for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowRight");
await page.keyboard.press("Alt+ArrowDown");
ok("other words by keyboard", await page.evaluate(() => document.activeElement?.parentElement?.id === "others"));
await page.keyboard.press("Escape");
await context.close();

// ---- a phone
for (const width of [390, 800]) {
  const small = await desk({viewport: {width, height: 844}, hasTouch: width < 500, isMobile: width < 500});
  await small.page.goto(url + "/");
  await small.page.locator("#paper").click();
  await small.page.keyboard.type(begin);
  await small.page.locator("#go").click();
  await idle(small.page);
  const over = await small.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  ok(`${width} pixels: nothing sticks out`, over <= 0 && (await text(small.page)).length > begin.length, `${over} pixels`);
  if (width < 500) {
    await small.page.locator("#open-settings").click();
    await audit(small.page, "on a phone");
  }
  await shot(small.page, `width${width}`);
  await small.context.close();
}
ok("no complaint of the browser, no request to elsewhere", complaints.length === 0, complaints.join("\n# "));
await browser.close();
process.exit(bad ? 1 : 0);
