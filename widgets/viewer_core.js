// Draws scenes with a handful of NGL buffers that are updated in place. Knows NGL, one
// stage and a function that sends messages; it knows neither nglview nor Jupyter.
//
// A scene is {sequence, layers, autoview, crystal, camera, selected, caption,
// notice, error, symbols}. A layer is {name, kind, count, attributes, first, complete,
// parameters}: attribute k is the float32 array in buffers[first + k]. Attributes that
// have not changed since the last scene are left out.
function structureScene(NGL, stage, send) {
  const viewer = stage.viewer;
  const SIZE = {position: 3, position1: 3, position2: 3, color: 3, color2: 3, radius: 1, number: 1};
  const KIND = {
    spheres: NGL.SphereBuffer, cylinders: NGL.CylinderBuffer,
    lines: NGL.WidelineBuffer, arrows: NGL.ArrowBuffer,
  };
  const layers = {};
  const shape = new NGL.Shape('structure');
  const write = textOver(viewer.container);
  const count = {scenes: 0, rebuilt: 0};
  let symbols = [], selected = null, awaitingView = null, dark = false, framed = false;

  // The component carries the bounding box and answers for picked atoms.
  stage.addComponentFromObject(shape);
  // nglview's left click moves the camera to an atom; here a click selects.
  for (const trigger of ['clickPick-left', 'clickPick-right', 'clickPick-ctrl-left']) {
    stage.mouseControls.remove(trigger);
  }
  // clipDist cuts away what is nearer than 10 Å, which is the whole of a small molecule.
  stage.setParameters({clipDist: 0, fogNear: 55, fogFar: 130, lightIntensity: 1.1, ambientIntensity: 0.4});

  function floats(view) {
    const start = view.byteOffset || 0, bytes = view.buffer || view;
    return start % 4 === 0
      ? new Float32Array(bytes, start, view.byteLength >> 2)
      : new Float32Array(bytes.slice(start, start + view.byteLength));
  }

  function geometries(buffer) {
    return buffer.cylinderBuffer
      ? [buffer.cylinderBuffer.geometry, buffer.coneBuffer.geometry]
      : [buffer.geometry];
  }

  function drop(name) {
    const layer = layers[name];
    if (!layer) return;
    viewer.remove(layer.buffer);
    layer.buffer.dispose();
    delete layers[name];
  }

  function create(spec, given) {
    const capacity = spec.count + (spec.count >> 2) + 8, data = {};
    for (const name in given) {
      data[name] = new Float32Array(capacity * SIZE[name]);
      data[name].set(given[name]);
    }
    const {number, ...drawn} = data;
    if (spec.name === 'atoms') drawn.picking = atomPicker();
    const buffer = new KIND[spec.kind](drawn, Object.assign({}, spec.parameters));
    viewer.add(buffer);
    layers[spec.name] = {buffer, capacity, data, kind: spec.kind, count: spec.count};
    count.rebuilt++;
  }

  function update(layer, spec, given) {
    const changed = {};
    for (const name in given) {
      layer.data[name].set(given[name]);
      if (name !== 'number') changed[name] = layer.data[name];
    }
    layer.buffer.setAttributes(changed);
    layer.count = spec.count;
  }

  // False if the layer cannot be drawn without attributes that were sent before this
  // stage existed, or for another number of items.
  function draw(spec, buffers) {
    const given = {};
    spec.attributes.forEach((name, k) => { given[name] = floats(buffers[spec.first + k]); });
    const old = layers[spec.name];
    if (!spec.complete && (!old || old.count !== spec.count)) return false;
    if (spec.count === 0) { drop(spec.name); return true; }
    if (old && old.kind === spec.kind && spec.count <= old.capacity) {
      update(old, spec, given);
    } else {
      if (!spec.complete) return false;
      drop(spec.name);
      create(spec, given);
    }
    const layer = layers[spec.name];
    for (const geometry of geometries(layer.buffer)) {
      const indices = (geometry.index || geometry.attributes.position).count;
      geometry.setDrawRange(0, indices / layer.capacity * layer.count);
    }
    return true;
  }

  function label(index) {
    const {number, position} = layers.atoms.data;
    const xyz = Array.from(position.slice(3 * index, 3 * index + 3), x => x.toFixed(3));
    return `${symbols[number[index]] || '?'} · atom ${index} · (${xyz.join(', ')}) Å`;
  }

  function atomPicker() {
    return {
      type: 'sphere', data: shape, array: undefined,
      getIndex: index => index,
      getObject: index => ({name: label(index), shape, index}),
      getPosition: index => new NGL.Vector3().fromArray(layers.atoms.data.position, 3 * index),
    };
  }

  function updateBox() {
    const box = new NGL.Box3(), point = new NGL.Vector3();
    const corners = [['atoms', 'position'], ['axes', 'position1'], ['axes', 'position2'],
      ['cell', 'position1'], ['cell', 'position2']];
    for (const [name, attribute] of corners) {
      if (!layers[name]) continue;
      const values = layers[name].data[attribute];
      for (let k = 0; k < 3 * layers[name].count; k += 3) box.expandByPoint(point.fromArray(values, k));
    }
    if (box.isEmpty()) return;
    box.expandByScalar(0.8);                       // spheres reach beyond their centers
    shape.boundingBox.copy(box);
    shape.boundingBox.getCenter(shape.center);
    // Meshes have geometries that their buffers do not know of, with boxes of their own.
    viewer.modelGroup.traverse(({geometry}) => {
      if (geometry) geometry.boundingBox = box.clone();
    });
    viewer.updateBoundingBox();
  }

  // NGL's camera looks along +z, with x to the left. A molecule is turned to have x to
  // the right; a crystal is seen from slightly above and to the side, with the third
  // axis upwards and the second to the right.
  function firstDirection(isCrystal) {
    const turns = isCrystal ? [[0, 0, 1, -70], [1, 0, 0, -78], [0, 1, 0, 180]] : [[0, 1, 0, 180]];
    const total = new NGL.Quaternion(), turn = new NGL.Quaternion();
    for (const [x, y, z, degrees] of turns) {
      turn.setFromAxisAngle(new NGL.Vector3(x, y, z), degrees * Math.PI / 180);
      total.premultiply(turn);
    }
    stage.viewerControls.rotate(total);
  }

  function frameView(isCrystal) {
    if (!viewer.width || viewer.width < 10) { awaitingView = {isCrystal}; return; }   // hidden tab
    awaitingView = null;
    if (!framed) firstDirection(isCrystal);
    framed = true;
    // NGL's own zoom lets the nearest corners of a cell touch the edge.
    stage.animationControls.zoomMove(stage.getCenter(), 1.1 * stage.getZoom(), 0);
  }

  function camera() {
    viewer.rotationGroup.updateMatrix();   // else as old as the last picture
    return Array.from(stage.viewerControls.getOrientation().elements);
  }

  function restoreCamera(elements) {
    framed = true;
    stage.viewerControls.orient(new NGL.Matrix4().fromArray(elements));
  }

  function select(index) {
    const atoms = layers.atoms;
    selected = atoms && index !== null && index < atoms.count ? index : null;
    if (selected === null) {
      drop('halo');
      write('label', '');
    } else {
      const {position, radius} = atoms.data;
      const given = {
        position: position.slice(3 * selected, 3 * selected + 3),
        color: new Float32Array([1, 0.55, 0]),
        radius: new Float32Array([1.25 * radius[selected] + 0.12]),
      };
      if (layers.halo) update(layers.halo, {count: 1}, given);
      else create({name: 'halo', kind: 'spheres', count: 1, parameters: {opacity: 0.45}}, given);
      for (const geometry of geometries(layers.halo.buffer)) {
        geometry.setDrawRange(0, geometry.index.count / layers.halo.capacity);
      }
      write('label', label(selected));
    }
  }

  function ink() {
    if (!layers.cell) return;
    const {color, color2} = layers.cell.data, gray = dark ? 0.72 : 0.35;
    color.fill(gray);
    color2.fill(gray);
    layers.cell.buffer.setAttributes({color, color2});
  }

  function complain(error) {
    console.error('gnndesign viewer:', error);
    send({type: 'gnndesign:error', text: String(error && error.message || error)});
  }

  // One acknowledgement a scene, once the browser has had its chance to paint it. A
  // hidden tab has no animation frames, hence the timer.
  function acknowledge(sequence) {
    let done = false;
    const report = () => {
      if (done) return;
      done = true;
      send({type: 'gnndesign:drawn', sequence});
    };
    requestAnimationFrame(report);
    setTimeout(report, 3000);
  }

  function show(scene, buffers) {
    try {
      if (scene.symbols) symbols = scene.symbols;
      const whole = scene.layers.map(layer => draw(layer, buffers)).every(Boolean);
      const named = new Set(scene.layers.map(layer => layer.name));
      Object.keys(layers).filter(name => !named.has(name) && name !== 'halo').forEach(drop);
      if (!whole) send({type: 'gnndesign:incomplete'});
      ink();
      select(scene.selected);
      updateBox();
      if (scene.autoview) frameView(scene.crystal);
      else if (scene.camera) restoreCamera(scene.camera);
      write('caption', scene.caption);
      write('notice', scene.notice);
      write('error', scene.error);
      viewer.requestRender();
      count.scenes++;
    } catch (error) {
      complain(error);
    } finally {
      acknowledge(scene.sequence);
    }
  }

  function followTheme() {
    dark = document.body.dataset.jpThemeLight === 'false';
    const wanted = getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim();
    const brush = document.createElement('canvas').getContext('2d');
    brush.fillStyle = wanted || (dark ? '#111111' : '#ffffff');
    stage.setParameters({backgroundColor: brush.fillStyle});   // now written as #rrggbb
    ink();
    viewer.requestRender();
  }

  function image(message) {
    stage.makeImage({factor: message.factor, antialias: true, transparent: message.transparent})
      .then(blob => blob.arrayBuffer())
      .then(png => send({type: 'gnndesign:image', id: message.id}, [png]))
      .catch(complain);
  }

  stage.signals.clicked.add(picked => {
    const index = picked && picked.picker && picked.picker.data === shape ? picked.pid : null;
    select(index);
    viewer.requestRender();
    send({type: 'gnndesign:pick', index});
  });
  const themeObserver = new MutationObserver(followTheme);
  themeObserver.observe(document.body, {attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name']});
  // The kernel keeps the camera for a page that is reloaded. nglview does so too, but
  // overwrites it with the initial one when it starts.
  let cameraTimer = null;
  stage.viewerControls.signals.changed.add(() => {
    if (!framed || cameraTimer) return;
    cameraTimer = setTimeout(() => {
      cameraTimer = null;
      send({type: 'gnndesign:camera', camera: camera()});
    }, 250);
  });
  const sizeObserver = new ResizeObserver(() => {
    stage.handleResize();
    if (awaitingView) frameView(awaitingView.isCrystal);
  });
  sizeObserver.observe(viewer.container);
  followTheme();

  return {
    show, image, count, layers,
    warn(text) { write('error', text); },
    select(index) { select(index); viewer.requestRender(); },
    center() { frameView(false); },
    spin(on) { stage.setSpin(on); },
    camera,
    // Where atom `index` is on the canvas, in CSS pixels from its top left corner.
    project(index) {
      const point = new NGL.Vector3().fromArray(layers.atoms.data.position, 3 * index);
      const place = stage.viewerControls.getPositionOnCanvas(point);
      return [place.x, viewer.height - place.y];
    },
    dispose() {
      clearTimeout(cameraTimer);
      themeObserver.disconnect();
      sizeObserver.disconnect();
    },
  };
}
