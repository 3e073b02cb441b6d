// A page of runs: its charts are drawn when they come into view, by dygraphs; what they show is in #data.
"use strict";
(() => {
  const data = JSON.parse(document.querySelector("#data").textContent);
  const root = document.documentElement;
  const by = (id) => document.getElementById(id);
  const state = {x: "step", logx: false, logy: false, smooth: 0, marks: true, window: null, shown: data.runs.map(() => true)};
  const several = data.runs.length > 1;
  const kinds = {
    restart: ["restarts", "再開"], skipped: ["skipped steps", "省いたステップ"], spike: ["spikes", "急上昇"],
    rollback: ["rollbacks", "巻き戻し"], save: ["checkpoints", "チェックポイント"],
  };
  const SAVES = 2; // the table of saves
  const FEW = 50; // points that are seen as points, and not smoothed
  const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const said = (pair) => pair[root.lang === "ja" ? 1 : 0];

  // ---- language and light
  by("lang").hidden = by("theme").hidden = false;
  by("lang").addEventListener("click", () => {
    root.lang = root.lang === "ja" ? "en" : "ja";
    drawn.forEach(legend);
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  by("theme").addEventListener("click", () => {
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    redraw();
  });
  dark.addEventListener("change", redraw);

  // ---- numbers
  const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 4});
  const number = (x) => {
    if (x === null || x === undefined) return "";
    const size = Math.abs(x);
    if (size >= 1e4) return short.format(x);
    return size !== 0 && size < 1e-3 ? x.toExponential(3).replace(/\.?0+e/, "e") : String(+x.toPrecision(6));
  };
  const tick = (x) => {
    const size = Math.abs(x);
    if (size >= 1e4) return short.format(x);
    return size !== 0 && size < 1e-3 ? x.toExponential(1).replace(".0e", "e") : String(+x.toPrecision(4));
  };

  // ---- the lines of a chart: of each run that is shown, or of the chart's own, each curve that it has
  // The last index whose x is not above.
  const before = (xs, x) => {
    let low = 0, high = xs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };
  const smoothed = (ys) => {
    let sum = 0, weight = 0;
    return ys.map((y) => {
      if (y === null) return null;
      sum = state.smooth * sum + (1 - state.smooth) * y;
      weight = state.smooth * weight + 1 - state.smooth;
      return sum / weight;
    });
  };
  const lines = (chart) => {
    const all = [], of = data.charts[chart.id];
    data.runs.forEach((run, i) => {
      if (!state.shown[i] || i !== (chart.run ?? i)) return;
      run.curves[chart.id].forEach((values, k) => {
        if (values === null) return;
        const table = run.tables[of.curves[k].table];
        all.push({run: i, curve: k, table, xs: table[state.x], raw: values.mid, low: values.low, high: values.high,
          colour: colour("c" + (several && !of.stacked ? i : k) % 8), dash: several && !of.stacked && k > 0,
          smooth: state.smooth > 0 && values.mid.length >= FEW});
      });
    });
    return all;
  };

  // ---- marks
  const place = (run, step) => { // of a step on the horizontal axis
    if (state.x === "step") return step;
    const {step: steps, tokens} = run.tables[0], i = before(steps, step);
    if (i < 0 || i + 1 >= steps.length) return i < 0 ? 0 : tokens[i];
    return tokens[i] + (tokens[i + 1] - tokens[i]) * (step - steps[i]) / (steps[i + 1] - steps[i]);
  };
  const underlay = (canvas, area, g) => {
    if (!state.marks) return;
    canvas.save();
    data.runs.forEach((run, i) => {
      if (!state.shown[i]) return;
      const line = (step, kind, from) => {
        const x = area.x + area.w * g.toPercentXCoord(place(run, step)); // toDomXCoord knows no logarithms
        if (!(x >= area.x && x <= area.x + area.w)) return;
        canvas.strokeStyle = colour(kind);
        canvas.beginPath();
        canvas.moveTo(x, area.y + area.h * from);
        canvas.lineTo(x, area.y + area.h);
        canvas.stroke();
      };
      canvas.lineWidth = 1;
      const [first, last] = g.xAxisRange(), saves = run.tables[SAVES].step;
      const seen = saves.filter((step) => place(run, step) >= first && place(run, step) <= last).length;
      const from = 6 * seen > area.w ? 0.985 : 0.95; // so many are a band: a low one hides nothing
      saves.forEach((step) => line(step, "save", from));
      canvas.lineWidth = 1.5;
      run.marks.forEach((mark) => line(mark.step, mark.kind, {restart: 0, rollback: 0, skipped: 0.8, spike: 0.8}[mark.kind]));
    });
    canvas.restore();
  };
  const key = by("key");
  for (const [kind, names] of Object.entries(kinds)) {
    const count = data.runs.reduce((n, run) => n + (kind === "save" ? run.tables[SAVES].step.length
      : run.marks.filter((mark) => mark.kind === kind).length), 0);
    if (count === 0) continue;
    const item = document.createElement("li"), bar = document.createElement("i");
    bar.style.borderColor = `var(--${kind})`;
    item.append(bar);
    names.forEach((name, ja) => {
      const label = document.createElement("span");
      label.lang = ja ? "ja" : "en";
      label.textContent = `${name} (${count.toLocaleString("en")})`;
      item.append(label);
    });
    key.append(item);
  }

  // ---- what is under the pointer: its numbers in a box beside it, its place in every chart
  const make = (name, className, ...children) => {
    const e = document.createElement(name);
    e.className = className;
    e.append(...children);
    return e;
  };
  const swatch = (line) => {
    const bar = make("i", line.dash ? "dash" : "");
    bar.style.borderColor = line.colour;
    return bar;
  };
  const name = (chart, line) => {
    const of = data.charts[chart.id], named = several && chart.run === null, words = named ? [data.runs[line.run].name] : [];
    if (of.curves.length > 1 || !named) words.push(of.curves[line.curve][root.lang] ?? of.curves[line.curve].en);
    return words.join(" ");
  };
  const legend = (chart) => chart.figure.querySelector(".legend").replaceChildren(
    ...chart.lines.map((line) => make("span", "", swatch(line), name(chart, line))));
  const tip = document.body.appendChild(make("div", "tip"));
  tip.hidden = true;
  const point = (chart, x, event) => {
    const head = make("b", ""), table = [];
    for (const line of chart.lines) {
      let i = before(line.xs, x);
      if (i < 0 || (i + 1 < line.xs.length && line.xs[i + 1] - x < x - line.xs[i])) i++;
      const first = line.table.first[i] ?? line.table.step[i], last = line.table.step[i];
      if (table.length === 0) head.textContent = `${said(["step", "ステップ"])} ${first !== last ? first + "–" : ""}${last}`;
      const range = line.low && line.low[i] !== line.high[i] ? ` [${number(line.low[i])}, ${number(line.high[i])}]` : "";
      table.push(make("span", "", swatch(line), `${name(chart, line)} `, make("b", "", number(line.raw[i])), range));
    }
    tip.replaceChildren(head, ...table);
    tip.hidden = false;
    const left = event.clientX + 18 + tip.offsetWidth < innerWidth ? event.clientX + 18 : event.clientX - 18 - tip.offsetWidth;
    tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4))}px)`;
    drawn.forEach((c) => {
      const area = c.g ? c.g.getArea() : null, at = area ? area.x + area.w * c.g.toPercentXCoord(x) : -1;
      c.hair.hidden = !(area && at >= area.x && at <= area.x + area.w);
      c.hair.style.transform = `translateX(${at}px)`;
    });
  };
  const leave = () => {
    tip.hidden = true;
    drawn.forEach((c) => { c.hair.hidden = true; });
  };

  // ---- drawing
  const drawn = new Map(); // by the figure's id: {id, run, range, figure, plot, lines, g}; run: its own, or null
  // The charts that each run has of its own have one scale.
  const scale = (id) => [0, 1.05 * data.runs.reduce((top, run) => {
    const curves = run.curves[id].filter((curve) => curve !== null).map((curve) => curve.mid);
    return curves.length === 0 ? top : curves[0].reduce((most, _, i) => Math.max(most, curves.reduce((sum, ys) => sum + ys[i], 0)), top);
  }, 0)];
  const logged = (of) => state.logy && of.positive && !of.stacked;
  const rows = (chart, of) => {
    const xs = new Set();
    for (const line of chart.lines) for (const x of line.xs) if (x > 0 || !state.logx) xs.add(x);
    const table = [...xs].sort((a, b) => a - b).map((x) => [x]);
    const add = (line, ys, low, high) => {
      let i = 0;
      for (const row of table) {
        while (line.xs[i] < row[0]) i++;
        const here = line.xs[i] === row[0] && ys[i] !== null;
        row.push(!here ? null : of.stacked ? ys[i] : [low ? low[i] : ys[i], ys[i], high ? high[i] : ys[i]]);
      }
    };
    for (const line of chart.lines) {
      add(line, line.smooth ? smoothed(line.raw) : line.raw, line.low, line.high);
      if (line.smooth && !of.stacked) add(line, line.raw);
    }
    return table;
  };
  // A band as one outline: the library's own draws a shape between every two points, which takes seconds.
  const band = ({drawingContext: canvas, plotArea: area, points, color}) => {
    const seen = points.filter((p) => p.yval_plus > p.yval_minus && p.y_top === p.y_top && p.y_bottom === p.y_bottom);
    if (seen.length === 0) return;
    canvas.globalAlpha = several ? 0.1 : 0.18;
    canvas.fillStyle = color;
    canvas.beginPath();
    for (const p of seen) canvas.lineTo(p.canvasx, area.y + area.h * p.y_top);
    for (const p of seen.reverse()) canvas.lineTo(p.canvasx, area.y + area.h * p.y_bottom);
    canvas.fill();
  };
  const draw = (chart) => {
    const of = data.charts[chart.id], labels = ["x"], colours = [], series = {};
    if (chart.g) chart.g.destroy();
    chart.g = null;
    chart.plot.replaceChildren();
    chart.lines = lines(chart);
    if (of.stacked) chart.lines.reverse(); // dygraphs piles them up from the last
    legend(chart);
    const table = rows(chart, of);
    if (table.length === 0) return;
    chart.lines.forEach((line, i) => {
      labels.push("line" + i);
      colours.push(line.colour);
      series["line" + i] = {strokePattern: line.dash ? [5, 4] : null, drawPoints: line.xs.length < FEW, pointSize: 2.5, strokeWidth: of.stacked ? 0.8 : 1.6};
      if (!line.smooth || of.stacked) return;
      labels.push("raw" + i);
      colours.push(line.colour + "55");
      series["raw" + i] = {strokeWidth: 1, highlightCircleSize: 0};
    });
    chart.g = new Dygraph(chart.plot, table, {
      labels, colors: colours, series, legend: "never", showLabelsOnHighlight: false, labelsDiv: document.createElement("div"),
      customBars: !of.stacked, stackedGraph: of.stacked, connectSeparatedPoints: true, fillAlpha: 0.55,
      plotter: of.stacked ? [Dygraph.Plotters.fillPlotter, Dygraph.Plotters.linePlotter] : [band, Dygraph.Plotters.linePlotter],
      logscale: logged(of), dateWindow: state.window, valueRange: chart.range, gridLineColor: colour("grid"), axisLineColor: colour("line"),
      axisLabelFontSize: 11, highlightCircleSize: 3, animatedZooms: false, rightGap: 8, xRangePad: state.logx ? 0 : 3, yRangePad: 4,
      interactionModel: mouse, underlayCallback: underlay,
      axes: {
        x: {logscale: state.logx, axisLabelFormatter: tick, drawGrid: false, pixelsPerLabel: 52, axisLabelWidth: 52},
        y: {axisLabelFormatter: tick, axisLabelWidth: 46},
      },
      highlightCallback: (event, x) => point(chart, x, event),
      unhighlightCallback: leave,
      zoomCallback: (min, max) => {
        const [first, last] = chart.g.xAxisExtremes();
        zoom(min <= first && max >= last ? null : [min, max], chart);
      },
    });
    chart.plot.append(chart.hair);
  };
  // A finger scrolls the page.
  const mouse = typeof Dygraph === "undefined" ? {} : Object.fromEntries(
    Object.entries(Dygraph.defaultInteractionModel).filter(([name]) => !name.startsWith("touch")));
  function zoom (range, from) {
    state.window = range;
    drawn.forEach((c) => {
      if (c.g && (c !== from || range === null)) c.g.updateOptions({dateWindow: range, valueRange: c.range});
    });
  }
  function redraw () {
    drawn.forEach(draw);
  }
  if (typeof Dygraph === "undefined") return; // the drawings stay

  // ---- controls
  const figures = document.querySelectorAll(".chart");
  by("controls").hidden = false;
  by("controls").addEventListener("submit", (event) => event.preventDefault());
  by("controls").addEventListener("input", () => {
    const x = document.querySelector("#controls input[name=x]:checked").value;
    const logx = by("logx").checked;
    if (x !== state.x || logx !== state.logx) state.window = null;
    Object.assign(state, {x, logx, logy: by("logy").checked, smooth: +by("smooth").value, marks: by("marks").checked});
    figures.forEach((figure) => { if (figure.dataset.run) figure.hidden = !state.shown[figure.dataset.run]; });
    redraw();
  });
  by("reset").addEventListener("click", () => zoom(null, null));
  if (several)
    data.runs.forEach((run, i) => {
      const label = document.createElement("label"), box = document.createElement("input"), chip = document.createElement("i");
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("input", () => { state.shown[i] = box.checked; });
      chip.className = "chip c" + i % 8;
      label.append(box, chip, run.name);
      by("runs").append(label);
    });

  // ---- a chart is drawn when it is about to be seen, all of them for the printer
  const begin = (figure) => {
    if (drawn.has(figure.id)) return;
    const own = figure.dataset.run !== undefined, id = figure.dataset.chart;
    const chart = {id, run: own ? +figure.dataset.run : null, range: own ? scale(id) : null, figure, plot: figure.querySelector(".plot"), lines: [], g: null, hair: make("i", "hair")};
    chart.hair.hidden = true;
    drawn.set(figure.id, chart);
    draw(chart);
  };
  const queue = []; // one in a frame, so that the first is there at once
  const next = () => {
    begin(queue[0]);
    queue.shift();
    if (queue.length > 0) requestAnimationFrame(next);
  };
  const watch = new IntersectionObserver((seen) => seen.forEach((entry) => {
    if (!entry.isIntersecting) return;
    watch.unobserve(entry.target);
    if (queue.push(entry.target) === 1) requestAnimationFrame(next);
  }), {rootMargin: "200px"});
  figures.forEach((figure) => watch.observe(figure));
  addEventListener("beforeprint", () => figures.forEach(begin));
})();
