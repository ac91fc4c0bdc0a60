// For `nest start`: runs the demo.
import './demo/main.js';
