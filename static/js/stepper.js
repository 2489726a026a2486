// Whole numbers with a step down and a step up. Without a script the field alone does.

/** Make the buttons of every stepper below `root` work. */
export function startSteppers(root) {
  for (const stepper of root.querySelectorAll("[data-stepper]")) {
    const count = stepper.querySelector("input");
    for (const button of stepper.querySelectorAll("[data-step-by]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        count.value = Number(count.value) + Number(button.dataset.stepBy);
        count.dispatchEvent(new Event("input", { bubbles: true }));
        count.dispatchEvent(new Event("change", { bubbles: true }));
        showEnds(stepper);
      });
    }
    count.addEventListener("input", () => showEnds(stepper));
    showEnds(stepper);
  }
}

/** From now on at most `most`; what was chosen above it comes down. `most` may be 0: then one stays chosen. */
export function capStepper(stepper, most) {
  const count = stepper.querySelector("input");
  count.dataset.most ??= count.max; // as the page came with it
  count.max = Math.max(Math.min(most, Number(count.dataset.most)), 1);
  if (Number(count.value) > Number(count.max)) count.value = count.max;
  showEnds(stepper);
}

function showEnds(stepper) {
  const { value, min, max } = stepper.querySelector("input");
  const [down, up] = stepper.querySelectorAll("[data-step-by]");
  down.disabled = Number(value) <= Number(min);
  up.disabled = Number(value) >= Number(max);
}
