(() => {
  const refresh = async () => {
    const focused = document.activeElement;
    if (document.hidden || (focused && /^(INPUT|SELECT)$/.test(focused.tagName))) return;
    try {
      const text = await (await fetch(location.href, { cache: "no-store" })).text();
      const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("[data-live]");
      const old = document.querySelector("[data-live]");
      if (fresh && old && fresh.innerHTML !== old.innerHTML) old.innerHTML = fresh.innerHTML;
    } catch { /* the container is restarting: the next round tells */ }
  };
  setInterval(refresh, 2000);
})();
