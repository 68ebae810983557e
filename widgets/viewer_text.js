// Lines of text over a canvas, in the colors of the theme: what was picked, what is shown,
// what to know about it, and what went wrong. Returns write(name, text).
function textOver(container) {
  const PLACES = {
    label: {top: '6px', left: '6px'},
    error: {top: '30px', left: '6px', color: 'var(--jp-error-color1, #b00)', whiteSpace: 'normal'},
    notice: {bottom: '26px', left: '6px'},
    caption: {bottom: '6px', left: '6px'},
  };
  const lines = {};
  container.style.position = 'relative';
  for (const name in PLACES) {
    const line = document.createElement('div');
    Object.assign(line.style, {
      position: 'absolute', zIndex: 10, pointerEvents: 'none', display: 'none',
      maxWidth: 'calc(100% - 24px)', padding: '0 6px', borderRadius: '3px',
      overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', opacity: 0.9,
      font: '12px/18px var(--jp-ui-font-family, sans-serif)',
      color: 'var(--jp-ui-font-color1, #222)',
      textShadow: '0 0 3px var(--jp-layout-color0, white), 0 0 6px var(--jp-layout-color0, white)',
    }, PLACES[name]);
    line.className = `gnndesign-view-${name}`;
    container.append(line);
    lines[name] = line;
  }
  return (name, text) => {
    lines[name].textContent = text || '';
    lines[name].style.display = text ? 'block' : 'none';
  };
}
