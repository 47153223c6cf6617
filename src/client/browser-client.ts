import { KsiApi } from './api.js';
import { HttpTransport, type KsiClientOptions } from './http.js';
import { BrowserPlatform } from './platform/browser.js';

/** A client of KSI's HTTP and WebSocket API for browsers. KSI_ALLOWED_ORIGINS must name the page's origin, unless the API serves the page. */
export class KsiClient extends KsiApi {
  constructor(options: KsiClientOptions) {
    super(new HttpTransport(options, new BrowserPlatform()));
  }
}
