// Browsers start no worker from a page of the disk, and the search is one: there it runs in a
// hidden frame. The name keeps the offline plugin from taking another such script from a CDN.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inside = frame.contentWindow
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = inside.document.createElement("script")
      script.src = url
      const loaded = new Promise(resolve => (script.onload = resolve))
      this.postMessage = data =>
        loaded.then(() => inside.dispatchEvent(new inside.MessageEvent("message", { data })))
      inside.document.body.append(script)
    }
  }
