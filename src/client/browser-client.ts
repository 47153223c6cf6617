import { KsiApi } from './api.js';
import { HttpTransport, type KsiClientOptions } from './http.js';
import { BrowserPlatform } from './platform/browser.js';

/** A client of KSI's HTTP and WebSocket API in a browser, whose page's origin KSI_ALLOWED_ORIGINS names. */
export class KsiClient extends KsiApi {
  constructor(options: KsiClientOptions) {
    super(new HttpTransport(options, new BrowserPlatform()));
  }
}
