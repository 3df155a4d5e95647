"use strict";
// The threshold slider: inserts the texts of the chosen step. Only pages with a sweep contain this script.
(() => {
  const sweep = JSON.parse(document.getElementById("what-if-data").textContent);
  const slider = document.getElementById("threshold");
  const lines = document.querySelectorAll("#thresholds .steps_marks line");

  function show() {
    const chosen = Number(slider.value);
    const step = sweep.steps[chosen];
    document.getElementById("threshold-now").textContent = step.threshold;
    for (const span of document.querySelectorAll("#what-if .step")) span.textContent = step.threshold;
    document.querySelectorAll("#what-if .figure").forEach((cell, i) => { cell.textContent = step.figures[i]; });
    document.querySelectorAll("#what-if .change").forEach((cell, i) => { cell.textContent = step.changes[i]; });
    lines.forEach((line, i) => line.classList.toggle("chosen", i === chosen));
    const spoken = sweep.names.map((name, i) => `${name} ${step.figures[i]}`);
    slider.setAttribute("aria-valuetext", `${step.threshold}: ${spoken.join(", ")}`);
  }

  // report.html#threshold=0.86 opens at that step, so that a link to it can be shared.
  function fromAddress() {
    const wanted = /^#threshold=(.+)$/.exec(location.hash);
    if (!wanted) return;
    const gaps = sweep.steps.map((step) => Math.abs(Number(step.threshold) - Number(wanted[1])));
    const nearest = gaps.indexOf(Math.min(...gaps));
    if (nearest >= 0) slider.value = nearest;
  }

  document.getElementById("what-if").hidden = false;
  slider.addEventListener("input", show);
  addEventListener("hashchange", () => { fromAddress(); show(); });
  fromAddress();
  show();
})();
