// Evaluated by nglview inside one of its views: `this` is the view, `NGL` is in scope.
// nglview evaluates it again for a second display and after a reload of the page.
if (!this.structureScene) {
  const tell = (message, buffers) => {
    try {
      this.send(Object.assign({view: this.uuid}, message), buffers);
    } catch (error) {
      if (!/Cannot send/.test(error.message)) throw error;   // the kernel restarts
    }
  };
  const scene = structureScene(NGL, this.stage, tell);
  this.structureScene = scene;
  this.el.structureScene = scene;
  const actions = {
    'gnndesign:scene': (message, buffers) => scene.show(message, buffers),
    'gnndesign:select': message => scene.select(message.index),
    'gnndesign:warn': message => scene.warn(message.text),
    'gnndesign:center': () => scene.center(),
    'gnndesign:spin': message => scene.spin(message.on),
    'gnndesign:image': message => scene.image(message),
  };
  this.listenTo(this.model, 'msg:custom', (message, buffers) => {
    if (message.view && message.view !== this.uuid) return;   // meant for another display
    const action = actions[message.type];
    if (action) action(message, buffers);
  });
  this.$pickingInfo.hide();              // nglview's own label, white in every theme
  this.$container.resizable('destroy');  // the layout of the widget decides its size
  this.setSize('100%', '100%');
  this.handleResize = () => this.stage.handleResize();
  this.once('remove', () => {
    scene.dispose();
    tell({type: 'gnndesign:gone'});
    this.stage.dispose();
    this.stage.viewer.renderer.forceContextLoss();   // a browser keeps few contexts
  });
  tell({type: 'gnndesign:ready'});
}
