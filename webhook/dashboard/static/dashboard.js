"use strict";
// Comfort on top of pages that are complete without it: fresh numbers, sorted and filtered tables.
(() => {
  const SECONDS = 10;
  const byId = (id) => document.getElementById(id);
  const sorted = new Map();
  const filters = new Map();

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Tables keep their place in the document when a page is renewed, so a place is as good as a name.
  const tables = (kind) => [...document.querySelectorAll(`table.${kind}`)];
  const nameOf = (table) => {
    const section = table.closest("section");
    return `${section.id}/${[...section.querySelectorAll("table")].indexOf(table)}`;
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return cell.dataset.value ?? cell.textContent.trim();
  };
  const compare = (one, other) => {
    const [a, b] = [Number(one), Number(other)];
    if (one !== "" && other !== "" && !Number.isNaN(a) && !Number.isNaN(b)) return a - b;
    return one.localeCompare(other, "en", { numeric: true });
  };

  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
    body.append(...rows);
    [...table.tHead.rows[0].cells].forEach((cell, index) => {
      if (index === column) cell.setAttribute("aria-sort", direction);
      else cell.removeAttribute("aria-sort");
    });
  };

  const makeSortable = (table) => {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      if (!cell.textContent.trim() || cell.classList.contains("chart") || cell.querySelector("button")) return;
      const button = make("button", { type: "button", className: "sort" }, cell.textContent.trim());
      button.addEventListener("click", () => {
        const first = cell.classList.contains("number") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const direction = cell.getAttribute("aria-sort") === first ? other : first;
        sorted.set(nameOf(table), [column, direction]);
        sort(table, column, direction);
      });
      cell.replaceChildren(button);
    });
    const chosen = sorted.get(nameOf(table));
    if (chosen) sort(table, ...chosen);
  };

  const filter = (table, text) => {
    const wanted = text.trim().toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    return shown;
  };

  const makeFilterable = (table) => {
    if (table.tBodies[0].rows.length < 2) return;
    const name = nameOf(table);
    const input = make("input", { type: "search", value: filters.get(name) ?? "", autocomplete: "off" });
    input.id = `filter-${name}`;
    const said = make("span", { className: "hidden" });
    said.setAttribute("role", "status");
    input.addEventListener("input", () => {
      filters.set(name, input.value);
      said.textContent = `${filter(table, input.value)} rows shown`;
    });
    table.before(make("div", { className: "filter" }, make("label", {}, "Filter", input), said));
    if (input.value) filter(table, input.value);
  };

  const dress = () => {
    tables("sortable").forEach(makeSortable);
    tables("filtered").forEach(makeFilterable);
  };

  // --- fresh numbers -------------------------------------------------------------------------------------------------

  const KEY = "podgate-refresh";
  let isOn = sessionStorage.getItem(KEY) !== "off";

  // Whoever reads, writes or marks something in the page is not disturbed.
  const isBusy = () => {
    const active = document.activeElement;
    const isWriting = active && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
    return document.hidden || isWriting || String(getSelection()) !== "";
  };

  const renew = async () => {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.closest("[data-live]")?.id;
    for (const old of document.querySelectorAll("[data-live]")) {
      const section = fresh.getElementById(old.id);
      // A section in which something has the focus stays as it is until the focus leaves it.
      if (!section || old.id === focused) continue;
      for (const details of old.querySelectorAll("details[open][id]")) {
        section.querySelector(`#${details.id}`)?.setAttribute("open", "");
      }
      old.replaceWith(document.adoptNode(section));
    }
    for (const selector of ["dl.tiles", "footer"]) {
      const section = fresh.querySelector(selector);
      if (section) document.querySelector(selector)?.replaceWith(document.adoptNode(section));
    }
    dress();
  };

  const startRenewing = () => {
    if (!document.querySelector("[data-live]")) return;
    const state = make("span", { className: "soft" });
    const button = make("button", { type: "button" }, "");
    const show = () => {
      button.textContent = isOn ? "Pause" : "Renew by itself";
      state.textContent = isOn ? `Renewed every ${SECONDS} s` : "Not renewed";
    };
    button.addEventListener("click", () => {
      isOn = !isOn;
      sessionStorage.setItem(KEY, isOn ? "on" : "off");
      show();
    });
    byId("comfort").append(state, button);
    show();
    setInterval(async () => {
      if (!isOn || isBusy()) return;
      try {
        await renew();
        show();
      } catch (error) {
        state.textContent = `Not renewed: ${error.message}`;
      }
    }, SECONDS * 1000);
  };

  dress();
  startRenewing();
})();
