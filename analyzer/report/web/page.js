// What the page does beyond standing there: another pass, order or choice of rows.
// Figures come from the data block; nothing is worked out here, only chosen and drawn.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const element = (id) => document.getElementById(id);
  const course = data.course;
  const last = course.full_scans.length - 1;
  const MORE = 200;
  let now = last;

  const make = (name, text, className) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  // The value so many moments before the end: changes.py says how it is told.
  function before(value, changes, back) {
    for (const step of changes) {
      if (back <= 0) break;
      if (Array.isArray(step)) back -= step[0];
      else { value += step; back--; }
    }
    return value;
  }

  function told(figure) {
    return figure.map((part) => typeof part === "string" ? part
      : drawn(part[0], part.slice(1).map((name) => course[name][now]))).join("");
  }

  class Table {
    constructor(by, spec) {
      this.by = by;
      this.spec = spec;
      this.table = element(by + "-table");
      const section = this.table.closest("section");
      this.section = section;
      this.search = section.querySelector("input[type=search]");
      this.more = section.querySelector("button.more");
      this.count = section.querySelector("output.count");
      this.bar = section.querySelector("tbody svg.bar");
      this.rows = spec.values[spec.key].map((_, row) => row);
      this.follows = Object.keys(spec.history).length > 0;
      this.heads = new Map();
      for (const head of this.table.tHead.querySelectorAll("th[data-column]")) {
        this.heads.set(head.dataset.column, head);
        head.firstChild.addEventListener("click", () => {
          this.sortBy(head.dataset.column, this.sort === head.dataset.column);
          this.changed();
        });
      }
      this.usual = this.heads.has("pages_saved") ? "pages_saved" : spec.key;
      this.reset();
      this.search.addEventListener("input", () => this.changed());
      if (this.more) this.more.addEventListener("click", () => {
        this.limit += MORE;
        this.changed();
      });
    }

    reset() {
      this.limit = this.spec.shown;
      this.search.value = "";
      this.sort = "";
      this.sortBy(this.usual, false);
    }

    changed() {
      this.draw();
      remember();
    }

    column(name) {
      return this.spec.columns.find((column) => column.name === name);
    }

    // Largest first, names from A to Z; the other way round when asked again.
    sortBy(name, again) {
      this.up = again ? !this.up : this.column(name).unit === "text";
      this.sort = name;
    }

    history(name, row) {
      const told = this.spec.history[name];
      return told && told[row];
    }

    // The value of a column in a row after the chosen pass; undefined if not known.
    value(name, row, stays) {
      const value = this.spec.values[name][row];
      if (now === last || stays || !this.follows) return value;
      const changes = this.history(name, row);
      return changes && before(value, changes, last - now);
    }

    sum(name, row, stays) {
      const value = row.values[name];
      if (value === undefined) return null;
      if (now === last || stays) return value;
      const changes = row.history[name];
      return changes && before(value, changes, last - now);
    }

    text(column, values) {
      if (values.includes(undefined)) return "\u00b7";
      if (values.includes(null)) return "";
      return drawn(column.unit, values);
    }

    name(column, row) {
      return this.spec.names[this.spec.values[column.name][row]];
    }

    sortKey(column, row) {
      if (column.unit === "text") return this.name(column, row).toLowerCase();
      const values = column.of.map((name) => this.value(name, row, column.stays));
      if (values.some((value) => value == null)) return undefined;
      if (values.length === 1) return values[0];
      return values[1] ? values[0] / values[1] : undefined;
    }

    chosen() {
      const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const named = this.spec.columns.filter(
        (column) => column.unit === "text" || column.unit === "number");
      const fits = (row) => {
        const text = named.map((column) => column.unit === "text"
          ? this.name(column, row) : drawn(column.unit,
            [this.spec.values[column.name][row]])).join("\n").toLowerCase();
        return words.every((word) => text.includes(word));
      };
      const rows = words.length ? this.rows.filter(fits) : [...this.rows];
      const column = this.column(this.sort), sign = this.up ? 1 : -1;
      const keys = new Map(rows.map((row) => [row, this.sortKey(column, row)]));
      return rows.sort((one, other) => {
        const a = keys.get(one), b = keys.get(other);
        if (a === undefined || b === undefined)
          return (a === undefined) - (b === undefined) || one - other;
        return a < b ? -sign : a > b ? sign : one - other;
      });
    }

    cell(column, row) {
      if (column.unit === "bar") {
        const cell = make("td", "", "bar");
        cell.append(this.drawnBar(row));
        return cell;
      }
      const key = column.name === this.spec.key;
      if (column.unit === "text") {
        const text = this.name(column, row);
        const cell = make(key ? "th" : "td", "", key ? "" : "name");
        if (key) cell.scope = "row";
        if (text) cell.title = text;
        cell.append(make("bdi", text || (key ? "(none)" : "")));
        return cell;
      }
      const values = column.of.map((name) => this.value(name, row, column.stays));
      return make("td", this.text(column, values), this.mood(column, values[0]));
    }

    mood(column, value) {
      if (column.name === "pages_saved") return "answer";
      if (column.unit !== "profit" || value == null) return "";
      return value < 0 ? "loss" : "gain";
    }

    drawnBar(row) {
      const bar = this.bar.cloneNode(true);
      const part = (name) =>
        100 * Math.max(this.value(name, row) || 0, 0) / (this.spec.scale || 1);
      const nonzero = part("pages_saved_nonzero"), zero = part("pages_saved_zero");
      bar.children[0].setAttribute("width", nonzero + "%");
      bar.children[1].setAttribute("x", nonzero + "%");
      bar.children[1].setAttribute("width", zero + "%");
      return bar;
    }

    draw() {
      const rows = this.chosen();
      this.table.tBodies[0].replaceChildren(...rows.slice(0, this.limit).map((row) => {
        const line = make("tr");
        line.append(...this.spec.columns.map((column) => this.cell(column, row)));
        return line;
      }));
      for (const row of this.spec.sums) this.drawSum(row);
      for (const [name, head] of this.heads) {
        if (name !== this.sort) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", this.up ? "ascending" : "descending");
      }
      const shown = Math.min(this.limit, rows.length);
      this.count.textContent = shown + " of " + (this.search.value.trim()
        ? rows.length + " that match" : this.spec.rows);
      if (this.more) this.more.hidden = shown === rows.length;
    }

    drawSum(row) {
      const cells = element(this.by + "-" + row.what).cells;
      this.spec.columns.forEach((column, at) => {
        if (column.unit === "bar" || column.name === this.spec.key) return;
        if (column.unit === "text") return;
        const values = column.of.map((name) => this.sum(name, row, column.stays));
        cells[at].textContent = this.text(column, values);
        cells[at].className = this.mood(column, values[0]);
      });
    }
  }

  const tables = Object.entries(data.tables)
    .filter(([by]) => element(by + "-table"))
    .map(([by, spec]) => new Table(by, spec));

  function go(at) {
    if (at === now || !element("composition")) return;
    now = at;
    drawPass();
    for (const table of tables) if (table.follows) table.draw();
  }

  function drawPass() {
    for (const [id, figure] of Object.entries(data.figures)) {
      const shown = element(id);
      if (shown) shown.textContent = told(figure);
    }
    let left = 0;
    const whole = course.offered[now] || 1;
    [...element("composition").children].forEach((part, at) => {
      const width = 100 * Math.max(course["part_" + data.parts[at]][now], 0) / whole;
      part.setAttribute("x", left + "%");
      part.setAttribute("width", width + "%");
      left += width;
    });
    const scrubber = element("scrubber"), chart = element("chart");
    if (!scrubber) return;
    scrubber.value = now;
    scrubber.setAttribute("aria-valuetext",
      "pass " + course.full_scans[now] + " of " + course.full_scans[last]);
    const x = +chart.dataset.left + now / last * chart.dataset.width;
    element("cursor").setAttribute("x1", x);
    element("cursor").setAttribute("x2", x);
    const seen = element("later");
    seen.setAttribute("x", x);
    seen.setAttribute("width", Math.max(+chart.dataset.left + +chart.dataset.width - x, 0));
  }

  function theme(name) {
    root.dataset.theme = name;
    element("theme").setAttribute("aria-pressed", name === "dark");
  }

  function dark() {
    const told = root.dataset.theme;
    return told ? told === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  // Where one is, as a link: #pass=3&workload.sort=pages.up&process.filter=postgres
  function remember() {
    const words = new URLSearchParams();
    if (now !== last) words.set("pass", course.full_scans[now]);
    if (root.dataset.theme) words.set("theme", root.dataset.theme);
    for (const table of tables) {
      const usual = table.sort === table.usual && table.up ===
        (table.column(table.usual).unit === "text");
      if (!usual) words.set(table.by + ".sort",
        table.sort + (table.up ? ".up" : ".down"));
      if (table.search.value) words.set(table.by + ".filter", table.search.value);
      if (table.limit !== table.spec.shown) words.set(table.by + ".rows", table.limit);
    }
    const link = words.toString();
    history.replaceState(null, "", link ? "#" + link : location.pathname + location.search);
  }

  function follow(scroll) {
    const words = new URLSearchParams(location.hash.slice(1));
    if (words.has("theme")) theme(words.get("theme") === "dark" ? "dark" : "light");
    for (const table of tables) {
      const by = table.by;
      const [name, way] = (words.get(by + ".sort") || "").split(".");
      if (table.heads.has(name)) {
        table.sortBy(name, false);
        if (way) table.up = way === "up";
      }
      if (words.has(by + ".filter")) {
        table.search.value = words.get(by + ".filter");
        if (scroll) table.section.scrollIntoView();
      }
      const rows = parseInt(words.get(by + ".rows"), 10);
      if (rows > 0) table.limit = rows;
      table.draw();
    }
    const pass = parseInt(words.get("pass"), 10);
    if (pass > 0) {
      const later = course.full_scans.findIndex((scan) => scan > pass);
      go(later < 0 ? last : Math.max(later - 1, 0));
      if (scroll && element("passes")) element("passes").scrollIntoView();
    }
  }

  root.classList.add("scripted");
  element("theme").addEventListener("click", () => {
    theme(dark() ? "light" : "dark");
    remember();
  });
  const scrubber = element("scrubber"), chart = element("chart");
  if (scrubber) {
    scrubber.addEventListener("input", () => {
      go(+scrubber.value);
      remember();
    });
    const point = (event) => {
      if (!event.buttons) return;
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      const part = (x - chart.dataset.left) / chart.dataset.width;
      go(Math.round(Math.min(Math.max(part, 0), 1) * last));
      remember();
    };
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointermove", point);
  }
  addEventListener("hashchange", () => follow(true));
  follow(false);
})();
