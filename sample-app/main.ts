// `nest start` runs the whole of it.
import './demo/main.js';
