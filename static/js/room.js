// The room of a format that brings no script of its own.

import { followSale } from "./sale.js";

followSale({});
