// Shows one sale live: a socket first, server-sent events where sockets do not pass, polling where nothing else does.
//
// A frame is the whole public state of a sale with a version that only grows, so frames may be lost, repeated or come from
// two sides at once: the page keeps the one with the highest version and needs nothing else.

const RECONNECT_MAX_MS = 10_000; // everybody's connections end at once when a server restarts: they come back spread out
const RECONNECT_FIRST_MS = 2_000;
// So many attempts in a row without a frame, and the next way of getting frames is tried. More for a way that has worked here:
// then it is the server that is away, and if everybody took to polling, it would have a hard time coming back.
const FAILURES_BEFORE_NEXT = 2;
const FAILURES_BEFORE_NEXT_IF_IT_WORKED = 8;
const FIRST_FRAME_MS = 5_000; // a proxy may accept a socket or hold back a stream, and pass nothing on: no use to try twice
const POLL_MS = 2_000;
const POLL_JITTER_MS = 1_000;
const FETCH_MS = 8_000;
// Polling because sockets failed need not be for ever: networks change. But a try may cost seconds, so each comes later.
const TRY_FASTER_AFTER_MS = 60_000;
const TRY_FASTER_GROWTH = 4;
const QUIET_MS = 60_000; // a page cannot see the server's pings, so after so long without a frame it asks whether it missed one
const UNKNOWN_SALE = 4404;

/**
 * Call `onFrame(frame)` with the sale's newest frame now and whenever there is a newer one. Versions only grow.
 *
 * `onState` is told "connected", "reconnecting", or "missing" once if there is no such sale, which ends the watching.
 * Returns a function that ends it.
 */
export function watchSale(saleId, onFrame, { onState = () => {} } = {}) {
  const watching = new Watching(saleId, onFrame, onState);
  watching.start();
  return () => watching.stop();
}

/**
 * The server's clock, to count down on: `now()` in milliseconds since the epoch, and `ready`, a promise of the first reading.
 *
 * `frameEndpoint` answers with X-Server-Time in milliseconds; the Date header, in whole seconds, will do. Until the first
 * reading, and if none succeeds, it is the computer's own clock. `stop()` ends the readings.
 */
export function serverClock(frameEndpoint) {
  const clock = new ServerClock(frameEndpoint);
  clock.start();
  return clock;
}

class Watching {
  constructor(saleId, onFrame, onState) {
    this.saleId = saleId;
    this.onFrame = onFrame;
    this.onState = onState;
    this.version = -1;
    this.state = null;
    this.way = 0; // which of WAYS is in use
    this.connection = null; // what `open` gave: a function that closes it
    this.failures = 0; // attempts in a row that brought no frame
    this.worked = new Set(); // the ways that have brought one
    this.tryFasterAfter = TRY_FASTER_AFTER_MS;
    this.isStopped = false;
    this.onVisibility = () => (document.hidden ? this.hidden() : this.shown());
    this.onOnline = () => this.reconnectNow();
  }

  start() {
    document.addEventListener("visibilitychange", this.onVisibility);
    window.addEventListener("online", this.onOnline);
    this.connect();
  }

  stop() {
    this.isStopped = true;
    document.removeEventListener("visibilitychange", this.onVisibility);
    window.removeEventListener("online", this.onOnline);
    this.disconnect();
  }

  // Connecting

  connect() {
    this.disconnect();
    if (document.hidden && WAYS[this.way] !== openSocket) return; // `shown` will
    let isOpen = true; // this connection, and not one that followed it
    const only = (act) => (...values) => isOpen && act(...values);
    const close = WAYS[this.way](this.saleId, {
      frame: only((frame) => this.arrived(frame)),
      lost: only(() => this.lost()),
      crowded: only(() => this.lost(FAILURES_BEFORE_NEXT_IF_IT_WORKED)),
      missing: only(() => this.missing()),
    });
    this.connection = () => {
      isOpen = false;
      close();
    };
    this.firstFrameTimer = setTimeout(only(() => this.lost(FAILURES_BEFORE_NEXT)), FIRST_FRAME_MS);
    if (this.way === WAYS.length - 1) {
      this.fasterTimer = setTimeout(only(() => this.tryFaster()), this.tryFasterAfter);
    }
  }

  disconnect() {
    for (const timer of ["firstFrameTimer", "quietTimer", "reconnectTimer", "fasterTimer"]) clearTimeout(this[timer]);
    this.connection?.();
    this.connection = null;
  }

  lost(failures = 1) {
    this.disconnect();
    this.failures += failures;
    const patience = this.worked.has(this.way) ? FAILURES_BEFORE_NEXT_IF_IT_WORKED : FAILURES_BEFORE_NEXT;
    if (this.failures >= patience && this.way < WAYS.length - 1) {
      this.way += 1;
      this.failures = 0;
    }
    this.tell("reconnecting");
    const ceiling = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** (this.failures - 1));
    this.reconnectTimer = setTimeout(() => this.connect(), Math.random() * ceiling);
  }

  missing() {
    this.stop();
    this.tell("missing");
  }

  reconnectNow() {
    this.failures = 0;
    this.way = 0; // perhaps on another network
    this.worked.clear();
    this.tryFasterAfter = TRY_FASTER_AFTER_MS;
    this.connect();
  }

  tryFaster() {
    this.failures = FAILURES_BEFORE_NEXT - 1; // one attempt is enough
    this.way = 0;
    this.tryFasterAfter *= TRY_FASTER_GROWTH;
    this.worked.clear();
    this.connect();
  }

  // Frames

  arrived(frame) {
    clearTimeout(this.firstFrameTimer);
    this.failures = 0;
    this.worked.add(this.way);
    this.listenForQuiet();
    this.tell("connected");
    this.keep(frame);
  }

  keep(frame) {
    if (this.isStopped || !(frame.version > this.version)) return false;
    this.version = frame.version;
    this.onFrame(frame);
    return true;
  }

  // A connection whose other end vanished looks like a sale in which nothing happens.
  listenForQuiet() {
    clearTimeout(this.quietTimer);
    this.quietTimer = setTimeout(() => this.check(), QUIET_MS * (1 + Math.random() / 2));
  }

  async check() {
    if (document.hidden) return; // `shown` will
    const connection = this.connection;
    const frame = await fetchFrame(this.saleId).catch(() => null);
    if (this.isStopped) return;
    const missedOne = frame !== null && this.keep(frame);
    if (this.connection !== connection || connection === null) return; // a new one is, or will be, on its way
    if (missedOne) this.connect();
    else this.listenForQuiet();
  }

  // Tabs

  hidden() {
    // A socket costs nothing while it is silent. Polling does, and a stream takes one of the few connections that a browser has.
    if (WAYS[this.way] !== openSocket) this.disconnect();
  }

  shown() {
    if (this.connection === null) this.connect();
    else this.check(); // phones cut the connections of sleeping tabs without telling the page
  }

  tell(state) {
    if (this.state === state) return;
    this.state = state;
    this.onState(state);
  }
}

// The ways of getting frames, best first. Each calls `on.frame` with every frame, and `on.lost` or `on.missing` once when it
// has ended by itself; it returns a function that ends it.

const WAYS = [openSocket, openStream, poll];

// So that a fan finds room where strangers have taken all there is.
const mark = document.querySelector("[data-viewer]")?.dataset.viewer;
const asked = mark ? `?viewer=${encodeURIComponent(mark)}` : "";

function openSocket(saleId, on) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/ws/sales/${saleId}/${asked}`);
  socket.onmessage = (message) => on.frame(JSON.parse(message.data));
  socket.onclose = (close) => (close.code === UNKNOWN_SALE ? on.missing() : on.lost());
  return () => socket.close();
}

// Without HTTP/2 a browser has six connections to a site, over all tabs. Streams may take these many; other tabs poll.
const STREAMS = ["stream-0", "stream-1"];

function openStream(saleId, on) {
  let stream = null;
  let isOpen = true;
  let letGo = () => {};
  takeOne(STREAMS).then((release) => {
    if (release === null) return on.crowded();
    if (!isOpen) return release();
    letGo = release;
    stream = new EventSource(`/live/${saleId}/${asked}`);
    stream.onmessage = (message) => on.frame(JSON.parse(message.data));
    // Its own reconnecting would not give up when it should, nor spread the load as ours does.
    stream.onerror = () => {
      stream.close();
      letGo();
      on.lost();
    };
  });
  return () => {
    isOpen = false;
    stream?.close();
    letGo();
  };
}

/** A function that gives it back, or null if other tabs have all of them (or if this browser cannot know). */
async function takeOne(names) {
  if (!navigator.locks) return null;
  for (const name of names) {
    const release = await new Promise((resolve) => {
      navigator.locks.request(name, { ifAvailable: true }, (lock) => (lock ? new Promise((held) => resolve(held)) : resolve(null)));
    });
    if (release !== null) return release;
  }
  return null;
}

function poll(saleId, on) {
  let isOpen = true;
  let timer;
  async function look() {
    let frame;
    try {
      frame = await fetchFrame(saleId);
    } catch {
      if (isOpen) on.lost();
      return;
    }
    if (!isOpen) return;
    if (frame === null) {
      on.missing();
      return;
    }
    timer = setTimeout(look, POLL_MS + Math.random() * POLL_JITTER_MS);
    on.frame(frame);
  }
  look();
  return () => {
    isOpen = false;
    clearTimeout(timer);
  };
}

/** The sale's newest frame, or null if there is no such sale. Throws if the server cannot tell. */
async function fetchFrame(saleId) {
  const answer = await fetch(`/api/v1/sales/${saleId}/frame`, { signal: AbortSignal.timeout(FETCH_MS), cache: "no-cache" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`The frame's endpoint answered ${answer.status}.`);
  return answer.json();
}

const READINGS = 3; // the quickest of them counts: it was held up least on its way
const READ_AGAIN_MS = 10 * 60_000;

class ServerClock {
  constructor(endpoint) {
    this.endpoint = endpoint;
    // From performance.now() to the server's time: unlike Date.now(), it does not jump when somebody sets the clock.
    this.offset = Date.now() - performance.now();
    this.onVisibility = () => document.hidden || this.read();
  }

  start() {
    document.addEventListener("visibilitychange", this.onVisibility); // a sleeping computer's performance.now() may stand still
    this.timer = setInterval(() => document.hidden || this.read(), READ_AGAIN_MS);
    this.ready = this.read();
  }

  stop() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearInterval(this.timer);
  }

  now() {
    return this.offset + performance.now();
  }

  async read() {
    let best = null;
    for (let count = 0; count < READINGS; count += 1) {
      const reading = await this.readOnce().catch(() => null);
      if (reading !== null && (best === null || reading.uncertainty < best.uncertainty)) best = reading;
    }
    if (best !== null) this.offset = best.offset;
  }

  async readOnce() {
    const asked = performance.now();
    const answer = await fetch(this.endpoint, { signal: AbortSignal.timeout(FETCH_MS), cache: "no-store" });
    const answered = performance.now();
    if (!answer.ok) return null; // this may be a proxy's word, and its clock
    const milliseconds = Number(answer.headers.get("X-Server-Time"));
    // The Date header was cut down to whole seconds: on average it is half a second behind.
    const time = milliseconds || Date.parse(answer.headers.get("Date")) + 500;
    if (!Number.isFinite(time)) return null;
    // Somewhere between question and answer: the middle is wrong by half of that at most.
    return { offset: time - (asked + answered) / 2, uncertainty: answered - asked + (milliseconds ? 0 : 500) };
  }
}
