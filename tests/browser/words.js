// Words that cannot be read: those cut off at the end of their box, and those in a chart that reach
// beyond it or lie upon others. Of the main column; tables scroll, and lists of choices shorten.
() => {
  const main = document.querySelector("[data-testid=stMain]");
  const seen = (one) => one.getClientRects().length > 0 && one.textContent.trim();
  const turned = (one) => /rotate\((?!0)/.test(one.getAttribute("transform")); // its box is wider
  const cut = [...main.querySelectorAll("*")].filter(
    (one) =>
      seen(one) &&
      getComputedStyle(one).textOverflow === "ellipsis" &&
      one.scrollWidth > one.clientWidth + 1 &&
      !one.closest("[data-baseweb=select], [data-testid=stDataFrame]"),
  );
  const troubles = cut.map((one) => `cut: ${one.textContent}`);
  for (const chart of main.querySelectorAll(".js-plotly-plot")) {
    const edge = chart.getBoundingClientRect();
    const texts = [...chart.querySelectorAll("text")].filter((one) => seen(one) && !turned(one));
    const boxes = texts.map((one) => [one.textContent, one.getBoundingClientRect()]);
    boxes.forEach(([text, box], at) => {
      if (box.left < edge.left - 2 || box.right > edge.right + 2) troubles.push(`beyond: ${text}`);
      for (const [other, its] of boxes.slice(at + 1)) {
        const across = Math.min(box.right, its.right) - Math.max(box.left, its.left);
        const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
        if (across > 2 && down > 4) troubles.push(`${text} upon ${other}`);
      }
    });
  }
  return troubles;
}
