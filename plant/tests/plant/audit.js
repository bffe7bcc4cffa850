// Measures what a person needs to read and use a page: contrast, targets, and whether everything fits.
// Each function returns what falls short, as texts. The test evaluates this file in the page.
(() => {
  /** The part of an element's mark-up that is shown in a message. */
  const name = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 160);
  const isShown = (element) =>
    element.checkVisibility({ visibilityProperty: true }) && !element.closest(".hidden, .sprite, noscript");

  /** Takes a computed colour apart: red, green, blue from 0 to 255, and opacity from 0 to 1. */
  const colour = (text) => {
    const found = text.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
    if (!found) throw new Error(`not a colour: ${text}`);
    const [red, green, blue, opacity = 1] = found.slice(1).map((one) => (one === undefined ? 1 : Number(one)));
    return [red, green, blue, opacity];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((one, at) => one * a + below[at] * (1 - a)).concat(1);

  /** Returns the colour behind an element. Every element that lies behind it is one of its ancestors. */
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(colour(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };

  /** The luminance and the contrast that WCAG 2.2 defines. */
  const luminance = (parts) => {
    const linear = parts.slice(0, 3).map((one) => {
      const share = one / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };

  /** Returns the elements that show a text of their own. */
  const withText = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = new Set(document.querySelectorAll("input:not([type=checkbox]):not([type=radio])"));
    while (walker.nextNode()) {
      const parent = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() && !/^(SCRIPT|STYLE)$/.test(parent.tagName)) found.add(parent);
    }
    return [...found].filter(isShown);
  };

  /** Text needs a contrast of 4.5. From 24 pixels on, and from 18.66 pixels on if it is bold, 3 is enough. */
  const lowContrast = () =>
    withText().flatMap((element) => {
      const style = getComputedStyle(element);
      const ink = element instanceof SVGElement ? style.fill : style.color;
      const ground = behind(element);
      let opacity = 1;
      for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
      const [red, green, blue, own] = colour(ink);
      const found = contrast(over([red, green, blue, own * opacity], ground), ground);
      const [size, weight] = [parseFloat(style.fontSize), Number(style.fontWeight)];
      const least = size >= 24 || (size >= 18.66 && weight >= 700) ? 3 : 4.5;
      return found < least ? [`${found.toFixed(2)} of ${least}: ${name(element)}`] : [];
    });

  /** Everything to press is at least so many pixels wide and high. The label of a box belongs to the box. */
  const smallTargets = (least) =>
    [...document.querySelectorAll("a[href], button, input, summary, select, [role=option]")]
      .filter(isShown)
      .flatMap((element) => {
        const target = /^(checkbox|radio)$/.test(element.type) ? (element.closest("label") ?? element) : element;
        const { width, height } = target.getBoundingClientRect();
        return Math.min(width, height) < least - 0.5
          ? [`${width.toFixed(0)} x ${height.toFixed(0)}: ${name(element)}`]
          : [];
      });

  /** Nothing is cut off at a side, and nothing has to be scrolled sideways. */
  const tooWide = () => {
    const page = document.documentElement;
    const found = page.scrollWidth > innerWidth ? [`the page is ${page.scrollWidth} pixels wide`] : [];
    const cut = [...document.querySelectorAll("svg text")].filter((element) => {
      const [inner, outer] = [element, element.ownerSVGElement].map((one) => one.getBoundingClientRect());
      return isShown(element) && (inner.left < outer.left - 1 || inner.right > outer.right + 1);
    });
    const wide = [...document.querySelectorAll("body *")]
      .filter((element) => isShown(element) && !(element instanceof SVGElement))
      .filter((element) => {
        const isCut = getComputedStyle(element).overflowX !== "visible";
        return isCut && element.scrollWidth > element.clientWidth + 1;
      });
    const outside = withText().filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 0 && (left < -1 || right > innerWidth + 1);
    });
    return found.concat([...cut, ...wide, ...outside].map((element) => `too wide: ${name(element)}`));
  };

  /** The frame fills the window. What is longer scrolls inside it, and the page itself never does. */
  const tooTall = () => {
    const height = document.documentElement.scrollHeight;
    return height > innerHeight ? [`the page is ${height} pixels high`] : [];
  };

  /** The ring around what has the focus needs a contrast of 3 with what it is drawn on. The last input must be a key. */
  const faintRings = () => {
    const before = document.activeElement;
    const scope = document.querySelector("dialog") ?? document.body;
    const found = [...scope.querySelectorAll("a[href], button, input, summary, select, [tabindex='0']")]
      .filter(isShown)
      .flatMap((element) => {
        element.focus({ preventScroll: true });
        const { outlineStyle, outlineWidth, outlineOffset, outlineColor, boxShadow } = getComputedStyle(element);
        const shadow = boxShadow === "none" ? null : colour(boxShadow.match(/^rgba?\([^)]*\)/)[0]);
        const isInside = parseFloat(outlineOffset) < 0;
        const ground = shadow ?? behind(isInside ? element : (element.parentElement ?? element));
        const ring = contrast(colour(outlineColor), ground);
        const isThere = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
        return isThere && ring >= 3 ? [] : [`${outlineStyle} ${outlineWidth}, ${ring.toFixed(2)} of 3: ${name(element)}`];
      });
    before?.focus?.({ preventScroll: true });
    return found;
  };

  /** A text that is missing in the table shows its key. */
  const untranslated = () =>
    withText()
      .filter((element) => !element.closest("code, [lang]:not(html)") && !(element instanceof HTMLInputElement))
      .filter((element) => /^[a-z]+(_[a-z0-9]+)+$/.test(element.textContent.trim()))
      .map(name);

  window.audit = { lowContrast, smallTargets, tooWide, tooTall, faintRings, untranslated };
  return Object.keys(window.audit).length;
})()
