// The camera: frames as they come, one after the other, each painted before the next is taken.

export class Camera {
  constructor() {
    this.video = document.createElement('video');
    this.video.muted = true;
    this.video.playsInline = true;
    this.canvas = document.createElement('canvas');
  }

  get on() {
    return Boolean(this.stream);
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error('The camera needs a page from https or localhost.');
    }
    this.stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, facingMode: 'user' },
    });
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = undefined;
    this.video.srcObject = null;
  }

  draw(width, height) {
    this.canvas.width = width;
    this.canvas.height = height;
    const context = this.canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(this.video, 0, 0, width, height);
    return context;
  }

  // A frame whose longer side is `long`.
  frame(long) {
    const { videoWidth, videoHeight } = this.video;
    const scale = long / Math.max(videoWidth, videoHeight);
    const width = Math.max(16, Math.round(videoWidth * scale));
    const height = Math.max(16, Math.round(videoHeight * scale));
    const { data } = this.draw(width, height).getImageData(0, 0, width, height);
    return { bytes: data, height, width };
  }

  // The whole picture, as a file.
  photo() {
    this.draw(this.video.videoWidth, this.video.videoHeight);
    return new Promise((resolve) => this.canvas.toBlob(resolve, 'image/png'));
  }
}
