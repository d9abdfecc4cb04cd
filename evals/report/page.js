
"use strict";
// A drawer shows masked words; its button shows them whole, and masks them again.
for (const button of document.querySelectorAll(".drawer button")) {
  button.addEventListener("click", () => {
    const words = button.previousElementSibling;
    const whole = button.getAttribute("aria-pressed") !== "true";
    words.textContent = whole ? words.dataset.whole : words.dataset.masked;
    button.setAttribute("aria-pressed", String(whole));
    button.textContent = whole ? "Mask the words" : "Show the words";
  });
}
// A long table gets a box to filter its rows.
for (const box of document.querySelectorAll(".box")) {
  const rows = box.querySelectorAll("tbody tr");
  if (rows.length <= 15) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
    }
  });
  label.append("Filter rows:", input);
  box.before(label);
}
// Paper has no clicks: plots are all printed, drawers as they are.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not(.drawer):not([open])")) {
    each.open = true;
    each.dataset.printed = "";
  }
});
addEventListener("afterprint", () => {
  for (const each of document.querySelectorAll("details[data-printed]")) {
    each.open = false;
    delete each.dataset.printed;
  }
});
