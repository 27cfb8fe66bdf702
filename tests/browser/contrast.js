// Every visible text of the page with its WCAG contrast ratio against what lies behind it.
// Icons are letters of a symbol font; they need less contrast than text. A slider's value belongs to
// its knob, but floats above it, on the page.
() => {
  const SKIPPED =
    "[disabled], [data-testid=stIconMaterial], [data-testid=stSliderThumbValue], script, style, noscript";
  const parse = (color) => {
    const parts = color.match(/[\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, bottom, alpha) => top.map((v, i) => v * alpha + bottom[i] * (1 - alpha));
  const chain = (element) => {
    const found = [];
    for (let node = element; node; node = node.parentElement) found.push(node);
    return found;
  };
  const background = (element) => {
    const layers = chain(element).map((node) => parse(getComputedStyle(node).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer.rgb, below, layer.alpha), [255, 255, 255]);
  };
  const ratio = (one, other) => {
    const [dark, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    const style = getComputedStyle(element);
    const opacity = chain(element).reduce((all, node) => all * getComputedStyle(node).opacity, 1);
    const hidden = !element.getClientRects().length || style.visibility === "hidden" || !opacity;
    if (!text || hidden || element.closest(SKIPPED)) continue;
    const color = parse(element instanceof SVGElement ? style.fill : style.color);
    const behind = background(element);
    const seen = over(color.rgb, behind, color.alpha * opacity);
    texts.push({ text: text.slice(0, 60), ratio: ratio(seen, behind) });
  }
  return texts;
}
