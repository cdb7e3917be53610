// The column of messages: keeps one view a node, redraws those that changed once a frame at most,
// and stays at the end while the reader is there.

import { branch, siblings, toolResults } from "./conversation.js";
import { assistantMessage, userMessage } from "./messages.js";

const NEAR = 80; // pixels from the end that still count as being there
const BUDGET = 24; // milliseconds of drawing in one frame
const SHARE = 4; // a redraw that took t is followed by a pause of 4 t: a fifth of the time at most

// `environment()` gives {conversation, busy, pricing(node)}; `actions` go to the messages.
export function createThread(list, scroller, jump, environment, actions) {
  let views = new Map();
  const dirty = new Set();
  let asked = false;
  let atEnd = true;
  let top = 0;
  let notBefore = 0;

  function contextOf(node) {
    const { conversation, busy, pricing } = environment();
    return {
      siblings: siblings(conversation, node),
      busy,
      results: node.role === "assistant" ? toolResults(conversation, node) : {},
      pricing: pricing(node),
    };
  }

  function viewOf(node) {
    const make = node.role === "user" ? userMessage : assistantMessage;
    return views.get(node.id) ?? make(node, () => contextOf(node), actions);
  }

  function toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
  }

  function draw() {
    asked = false;
    const begun = performance.now();
    // Nothing waits while the page is hidden: nobody sees it stutter.
    if (begun < notBefore && !document.hidden) {
      request();
      return;
    }
    drawSome(begun + BUDGET);
    const ended = performance.now();
    notBefore = dirty.size ? ended : ended + SHARE * (ended - begun);
  }

  // The latest messages first: those are in sight.
  function drawSome(deadline) {
    for (const id of Array.from(views.keys()).reverse()) {
      if (dirty.has(id) && views.get(id).update(deadline)) dirty.delete(id);
      if (performance.now() > deadline) break;
    }
    if (atEnd) toEnd();
    if (dirty.size) request();
  }

  function request() {
    if (asked) return;
    asked = true;
    // A hidden page gets no frames, but its answers go on.
    if (document.hidden) setTimeout(draw, 200);
    else requestAnimationFrame(draw);
  }

  // Shows the conversation's branch anew; views of nodes that stay are kept.
  function show() {
    const { conversation } = environment();
    const nodes = branch(conversation).filter((node) => node.role !== "tool");
    views = new Map(nodes.map((node) => [node.id, viewOf(node)]));
    const elements = Array.from(views.values(), (view) => view.element);
    const same = list.children.length === elements.length;
    if (!same || elements.some((element, index) => list.children[index] !== element)) {
      list.replaceChildren(...elements);
    }
    dirty.clear();
    for (const id of views.keys()) dirty.add(id);
    drawSome(performance.now() + BUDGET);
  }

  function changed(node) {
    if (!views.has(node.id)) return;
    dirty.add(node.id);
    request();
  }

  scroller.addEventListener("scroll", () => {
    const left = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    // Only the reader scrolls up: a growing list never does.
    if (left < NEAR) atEnd = true;
    else if (scroller.scrollTop < top) atEnd = false;
    top = scroller.scrollTop;
    jump.hidden = atEnd;
  });
  jump.addEventListener("click", () => follow());
  // Messages take their true height only once they come near.
  new ResizeObserver(() => atEnd && toEnd()).observe(list);
  setInterval(() => {
    for (const view of views.values()) {
      if (view.element.classList.contains("streaming")) view.tick();
    }
  }, 100);

  function follow() {
    atEnd = true;
    jump.hidden = true;
    toEnd();
  }
  return { show, changed, follow };
}
