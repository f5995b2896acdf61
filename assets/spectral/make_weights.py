"""Records .sumwt of tclean for weightings that the golden images do not cover.

Run with casatasks' python (6.7) in a directory that holds copies of small.ms and small_ws.ms; writes weights.json.
256 x 256 pixels of 0.1arcsec, as the golden images have.
"""
import glob, json, os, shutil
from casatasks import tclean
from casatools import image

ia = image()
runs = dict(linear_weights=dict(vis='small_ws.ms', outframe='LSRK', interpolation='linear', weighting='natural'))
for name, taper in (('none', []), ('5klambda', ['5klambda']), ('50klambda', ['50klambda']), ('3arcsec', ['3arcsec']),
                    ('two', ['3arcsec', '1.5arcsec']), ('3x1.5arcsec_30', ['3arcsec', '1.5arcsec', '30deg']),
                    ('50x20klambda_30', ['50klambda', '20klambda', '30deg'])):
    for scheme in ('natural', 'briggs'):
        runs[f'taper_{scheme}_{name}'] = dict(uvtaper=taper, weighting=scheme, robust=0.5, nchan=3)
for robust in (-2.0, -1.0, 0.5, 2.0):
    for each in (True, False):
        runs[f'briggs_{robust}_{each}'] = dict(weighting='briggs', robust=robust, perchanweightdensity=each)
runs['uniform_False'] = dict(weighting='uniform', perchanweightdensity=False)
# tclean's density is that of all selected data channels, also when few are imaged.
runs['briggs_0.5_False_part'] = dict(weighting='briggs', robust=0.5, perchanweightdensity=False, start=3, nchan=5)
out = {}
for name, given in runs.items():
    for f in glob.glob('im.*'):
        shutil.rmtree(f, ignore_errors=True)
    p = dict(vis='small.ms', imagename='im', specmode='cube', imsize=[256, 256], cell='0.1arcsec', restfreq='230.538GHz',
             outframe='TOPO', interpolation='nearest', perchanweightdensity=True, niter=0, datacolumn='corrected',
             calcres=False, restoration=False)
    p.update(given)
    tclean(**p)
    ia.open('im.sumwt'); sumwt = [float(x) for x in ia.getchunk().ravel()]; ia.close()
    out[name] = dict(given=given, sumwt=sumwt)
with open('weights.json', 'w') as f:
    f.write('{\n' + ',\n'.join(json.dumps(k) + ': ' + json.dumps(v) for k, v in out.items()) + '\n}\n')
