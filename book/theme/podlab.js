// The Run buttons, and three small things for those who read with a keyboard or a screen reader.
// Everything here is an extra: without it, or without a server, the pages say the same.
"use strict";

(() => {
    const content = document.querySelector("main");
    if (content) {
        content.id = content.id || "main";
        const skip = document.createElement("a");
        skip.className = "skip-link";
        skip.href = "#" + content.id;
        skip.textContent = "Skip to the text";
        document.body.prepend(skip);
        content.tabIndex = -1;
    }

    // mdBook turns the page on the arrow keys, which those who read with them do not expect.
    document.addEventListener("keydown", (event) => {
        if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
            event.stopImmediatePropagation();
        }
    }, { capture: true });

    // The link that `podlab start` prints ends in #token=…. It is kept for this address and port, and taken out of sight.
    const KEPT = "podlab-token";
    const brought = location.protocol.startsWith("http") && location.hash.match(/^#token=([0-9a-f]+)$/);
    if (brought) {
        localStorage.setItem(KEPT, brought[1]);
        history.replaceState(null, "", location.pathname + location.search);
    }
    const token = () => localStorage.getItem(KEPT) || "";

    const steps = [...document.querySelectorAll(".lab-step")];
    if (steps.length === 0 || !location.protocol.startsWith("http")) {
        return;
    }

    const announcer = document.createElement("div");
    announcer.setAttribute("role", "status");
    announcer.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
    document.body.append(announcer);
    const announce = (text) => { announcer.textContent = text; };

    // The root of the book, whatever the depth of the page.
    const root = new URL(typeof path_to_root === "string" ? path_to_root : "", location.href);

    fetch(new URL("podlab.json", root), { cache: "no-store" })
        .then((response) => response.ok ? response.json() : { runs: false })
        .then((server) => { if (server.runs) { offer(); } })
        .catch(() => { /* the pages are read without a server */ });

    const blockOf = (lab, step) =>
        steps.find((block) => block.dataset.lab === lab && block.dataset.step === step);

    function offer() {
        for (const block of steps) {
            const button = block.querySelector("button.run");
            if (!button) { continue; }
            button.hidden = false;
            button.setAttribute("aria-label", "Run: " + block.querySelector(".command").textContent.trim());
            button.addEventListener("click", () => run(block));
        }
        const last = steps[steps.length - 1];
        const reset = document.createElement("button");
        reset.type = "button";
        reset.id = "podlab-reset";
        reset.textContent = "Start this lab over";
        reset.addEventListener("click", () => startOver(last.dataset.lab, reset));
        last.after(reset);
    }

    function clear(block) {
        const output = block.querySelector("pre.output");
        const code = output.querySelector("code");
        code.replaceChildren();
        output.hidden = false;
        block.classList.add("live");
        return code;
    }

    function remark(code, text) {
        const line = document.createElement("span");
        line.className = "remark";
        line.textContent = text + "\n";
        code.append(line);
    }

    async function run(block) {
        const buttons = [...document.querySelectorAll("button.run")];
        for (const button of buttons) { button.disabled = true; }
        const { lab, step } = block.dataset;
        const code = clear(block);
        announce("Running");
        try {
            const address = new URL(`labs/${lab}/steps/${step}/run`, root);
            const response = await fetch(address, { method: "POST", headers: { Authorization: "Bearer " + token() } });
            if (!response.ok) {
                remark(code, (await response.text()).trim());
                announce("Refused");
                return;
            }
            const begun = new Map([[step, code]]);
            for await (const line of lines(response.body)) {
                follow(JSON.parse(line), lab, step, code, begun);
            }
        } catch (error) {
            remark(code, "The server did not answer: is podlab still running?");
            announce("No answer");
        } finally {
            for (const button of buttons) { button.disabled = false; }
        }
    }

    function follow(event, lab, wanted, code, begun) {
        if (event.error) {
            remark(code, event.error);
            remark(code, "The lab was reset; the next Run begins at its first step.");
            announce("Failed");
            return;
        }
        if (!event.step) { return; }
        if (!begun.has(event.step)) {
            const other = blockOf(lab, event.step);
            begun.set(event.step, other ? clear(other) : null);
        }
        const target = begun.get(event.step);
        if (event.text !== undefined && target) {
            const piece = document.createElement("span");
            if (event.stream === "err") { piece.className = "stderr"; }
            piece.textContent = event.text;
            target.append(piece);
        }
        if (event.exit !== undefined) {
            if (event.exit && target) { remark(target, "exit status " + event.exit); }
            if (event.step === wanted) { announce("Done"); }
        }
    }

    async function* lines(body) {
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = "";
        for (;;) {
            const { done, value } = await reader.read();
            if (done) { break; }
            rest += value;
            let end;
            while ((end = rest.indexOf("\n")) >= 0) {
                yield rest.slice(0, end);
                rest = rest.slice(end + 1);
            }
        }
    }

    async function startOver(lab, button) {
        button.disabled = true;
        try {
            const address = new URL(`labs/${lab}/reset`, root);
            const response = await fetch(address, { method: "POST", headers: { Authorization: "Bearer " + token() } });
            button.textContent = response.ok ? "Start this lab over (it is at its beginning)" : await response.text();
            announce(button.textContent);
        } catch (error) {
            button.textContent = "The server did not answer: is podlab still running?";
        } finally {
            button.disabled = false;
        }
    }
})();
