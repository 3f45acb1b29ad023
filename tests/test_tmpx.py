from test_shipped import *
from test_shipped import features
def test_x(features):
    whole = np.asarray(255 * samples.sample_photos()["coffee"] + 0.5, np.uint8)
    chelsea=samples.sample_photos()["chelsea"]
    crops={"256":(whole[:256,180:436],chelsea[None,:256,100:356])}
    crops["128a"]=(whole[64:192,244:372],chelsea[None,64:192,164:292])
    crops["128b"]=(whole[100:228,180:308],chelsea[None,:128,100:228])
    crops["160"]=(whole[60:220,200:360],chelsea[None,40:200,140:300])
    for key,(p,c) in crops.items():
        x=p[None].astype(np.float32)/255
        content, elsewhere = features(x), features(c)
        r=[]; d=[]
        for name in shipped.styles():
            y=np.asarray(load_model(name)(x)); f=features(y)
            r.append(content@f/(elsewhere@f)); d.append(np.abs(y-x).mean())
        print(key,"ratios",np.round(sorted(r)[:6],2),"median",np.median(r),"change",np.round(sorted(d)[:3],3),flush=True)
        for name in SUPERRES:
            model = upscaling.load_upscaler(name); scale = model.config.scale
            inputs = model.header["training"]["config"]["degradation"]
            small = resampling.degrade(p, scale, inputs).astype(np.float32) / 255
            distance = superres.feature_distance(("relu3_3", "relu4_3"))
            ours = tiles.run(model, small)
            bicubic = np.asarray(255 * resampling.upscale(small, scale).clip(0, 1) + 0.5, np.uint8)
            g=superres.score(ours, p, scale)["psnr"]- superres.score(bicubic, p, scale)["psnr"]
            near, far = distance(ours, p), distance(bicubic, p)
            print(key,name,inputs,round(float(g),2),{k:round(near[k]/far[k],3) for k in near},flush=True)
