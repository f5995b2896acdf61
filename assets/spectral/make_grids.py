"""Records the spectral axis that tclean gives a cube for many combinations of its spectral parameters.

Run with casatasks' python (6.7) in a directory that holds copies of small.ms, ngc5921_contsub.ms and
alma_b3_mssel.ms; writes grids.json. Each run makes a PSF of 32 x 32 pixels and no image.
"""
import glob, itertools, json, math, os, shutil
import numpy as np
from casatasks import tclean
from casatools import image, measures, quanta, table

ia, tb, me, qa = image(), table(), measures(), quanta()
SMALL, ALMA, NGC = 'small.ms', 'alma_b3_mssel.ms', 'ngc5921_contsub.ms'
BASE = {
    SMALL: dict(cell='0.5arcsec', antenna='0~6'),
    ALMA: dict(cell='10arcsec', spw='1', field='1'),
    NGC: dict(cell='30arcsec', antenna='0~6'),
}
runs = []
def run(ms, **given):
    runs.append((ms, given))

for frame in ('LSRK', 'LSRD', 'BARY', 'GEO', 'TOPO'):
    for ms in BASE:
        run(ms, outframe=frame)
for frame in ('LSRK', 'TOPO'):
    def both(ms, **given):
        run(ms, outframe=frame, **given)
    for given in (
        dict(start=5, nchan=10), dict(start=5, width=2, nchan=8), dict(width=3), dict(start=31, width=-1, nchan=32),
        dict(start=20, width=-2, nchan=5), dict(start=4), dict(start=4, width=2), dict(start=4, width=2, nchan=100),
        dict(width=-1), dict(nchan=5), dict(nchan=100), dict(start='5', nchan=5), dict(start=40, nchan=5), dict(start=-2, nchan=5),
        dict(start='230.540GHz', nchan=10), dict(start='230.540GHz'), dict(start='230.540GHz', width='1MHz'),
        dict(start='230.550GHz', width='-1MHz'), dict(start='230.530GHz', width='1MHz'), dict(start='230.560GHz', nchan=5),
        dict(width='1.2MHz'), dict(width='0.3MHz'), dict(width='488kHz'), dict(width='-488281.25Hz'),
        dict(width='1MHz', nchan=5), dict(width='-1MHz', nchan=5), dict(width='1MHz', nchan=50),
        dict(start='-10km/s'), dict(start='-10km/s', nchan=10), dict(start='-10km/s', width='1km/s'),
        dict(start='-10km/s', width='-1km/s'), dict(start='-10km/s', width='1km/s', nchan=10),
        dict(width='1km/s'), dict(width='-1km/s'), dict(width='1km/s', nchan=5), dict(width='-1km/s', nchan=5), dict(width='0.3km/s'),
        dict(start='-10km/s', nchan=5, restfreq=''), dict(start='-10km/s', width='1km/s', nchan=10, veltype='optical'),
        dict(width='1km/s', veltype='optical'), dict(width='-1km/s', veltype='optical', nchan=7),
        dict(spw='0:5~20'), dict(spw='0:5~20', start=3, nchan=5), dict(spw='0:5~20', start=7, nchan=5), dict(spw='0:5~20', width='1MHz'),
        dict(spw='0:5~10;15~20'), dict(spw='0:5~10;15~20', width=2), dict(spw='0:5~10;15~20', start=8),
        dict(start='230.540GHz', width='1km/s'), dict(start='-10km/s', width='1MHz'), dict(start=4, width='1km/s'),
        dict(start=4, width='1MHz'), dict(start='230.540GHz', width=2),
    ):
        both(SMALL, **given)
    for given in (
        dict(start=5, nchan=10), dict(width='62.5MHz'), dict(width='-62.5MHz'), dict(width=2), dict(width=3), dict(width=-1),
        dict(start=10), dict(start=10, width=2), dict(start=10, width=-1), dict(start=10, width=-2, nchan=3),
        dict(start='85GHz'), dict(start='85GHz', width='40MHz'), dict(start='85GHz', width='-40MHz'),
        dict(start='0km/s', restfreq='85GHz'), dict(start='0km/s', width='200km/s', restfreq='85GHz'),
        dict(width='200km/s', restfreq='85GHz'), dict(width='-200km/s', restfreq='85GHz'), dict(width='200km/s'),
        dict(spw='1:0~9;30~39'), dict(phasecenter='J2000 10h00m00 -60d00m00'),
    ):
        both(ALMA, **given)
    for given in (
        dict(start=5, nchan=46), dict(start='1413MHz'), dict(start='1413MHz', width='50kHz'), dict(start='1600km/s'),
        dict(start='1600km/s', width='10km/s'), dict(start='1600km/s', width='-10km/s', nchan=10), dict(start=10, width=2),
        dict(width=2), dict(width='10km/s'), dict(width='-10km/s'), dict(width='10km/s', veltype='optical', nchan=20),
        dict(start='1600km/s', width='-10km/s', nchan=10, veltype='optical'),
    ):
        both(NGC, **given)

def facts(ms):
    """What the axis depends on, so that the test need not read the data."""
    tb.open(ms)
    base = BASE[ms]
    rows = tb.query('ANTENNA1!=ANTENNA2' + (' && FIELD_ID==1 && DATA_DESC_ID==1' if ms == ALMA else ''))
    time, keys = float(rows.getcell('TIME', 0)), tb.getcolkeywords('TIME')
    rows.close(); tb.close()
    utc = qa.convert(me.measure(me.epoch(keys['MEASINFO']['Ref'], qa.quantity(time, 's')), 'UTC')['m0'], 's')['value']
    tb.open(ms + '/SPECTRAL_WINDOW')
    spw = 1 if ms == ALMA else 0
    freq, code = tb.getcell('CHAN_FREQ', spw), int(tb.getcell('MEAS_FREQ_REF', spw)); tb.close()
    tb.open(ms + '/FIELD'); direction = tb.getcell('PHASE_DIR', 1 if ms == ALMA else 0).ravel(); tb.close()
    tb.open(ms + '/OBSERVATION'); telescope = str(tb.getcell('TELESCOPE_NAME', 0)); tb.close()
    tb.open(ms + '/SOURCE')
    rest = [float(tb.getcell('REST_FREQUENCY', i)[0]) for i in range(tb.nrows()) if tb.iscelldefined('REST_FREQUENCY', i)]
    tb.close()
    return dict(time=utc, spw=spw, frame=code, first_hz=float(freq[0]), last_hz=float(freq[-1]), nchan=len(freq),
                ra=float(direction[0]), dec=float(direction[1]), telescope=telescope, source_restfreq=rest[0] if rest else None)

out = dict(data={ms: facts(ms) for ms in BASE}, runs=[])
for ms, given in runs:
    for f in glob.glob('im.*'):
        shutil.rmtree(f, ignore_errors=True)
    p = dict(specmode='cube', imsize=[32, 32], interpolation='nearest', niter=0, datacolumn='data', calcres=False, restoration=False)
    p.update(BASE[ms]); p.update(given)
    if ms == SMALL:
        p.setdefault('restfreq', '230.538GHz')
    record = dict(ms=ms, given={**{k: v for k, v in p.items() if k == 'restfreq' and v}, **given})
    try:
        tclean(vis=ms, imagename='im', **p)
        ia.open('im.psf')
        cs, shape = ia.coordsys(), ia.shape()
        spectral = [v for k, v in cs.torecord().items() if k.startswith('spectral')][0]
        # The world coordinates of the record's own frame; toworld would convert to the frame of display.
        cs.setconversiontype(spectral=spectral['system'])
        at = [float(cs.toworld([0, 0, 0, c], 'n')['numeric'][3]) for c in (0, (shape[3] - 1) // 2, shape[3] - 1)]
        record.update(nchan=int(shape[3]), frame=str(spectral['system']), restfreq=float(spectral['restfreq']),
                      first_hz=at[0], middle_hz=at[1], last_hz=at[2])
        ia.close()
    except Exception as e:
        record['error'] = str(e).strip().split('\t')[-1][-120:]
    print(record, flush=True)
    out['runs'].append(record)
with open('grids.json', 'w') as f:
    f.write('{"data": ' + json.dumps(out['data'], indent=1) + ',\n"runs": [\n')
    f.write(',\n'.join(json.dumps(r) for r in out['runs']) + '\n]}\n')
